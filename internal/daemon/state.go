// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// State tells whether an uplink answers, and else why not.
type State uint8

// The states of an uplink.
const (
	// Absent: there is no interface of that name.
	Absent State = iota
	// Down: the link is down; the socket waits.
	Down
	// NotEthernet: the interface can have no neighbors.
	NotEthernet
	// Port: the interface belongs to a bridge or a bond, which is the one to name.
	Port
	// NoIPv6: the interface has no IPv6.
	NoIPv6
	// NoAddress: there is no address to answer from (RFC 4861 §4.4).
	NoAddress
	// Failed: the socket could not be opened; it is tried again.
	Failed
	// Ready: solicitations are answered.
	Ready
)

// String returns the state's name in logs and in status.
func (s State) String() string {
	switch s {
	case Absent:
		return "absent"
	case Down:
		return "down"
	case NotEthernet:
		return "not_ethernet"
	case Port:
		return "port"
	case NoIPv6:
		return "no_ipv6"
	case NoAddress:
		return "no_address"
	case Failed:
		return "failed"
	case Ready:
		return "ready"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

func macString(mac [6]byte) string { return net.HardwareAddr(mac[:]).String() }

// backoff spaces repeated attempts: 250 ms, doubled up to 5 s.
type backoff struct{ wait time.Duration }

func (b *backoff) next() time.Duration {
	b.wait = min(max(2*b.wait, 250*time.Millisecond), 5*time.Second)
	return b.wait
}

func (b *backoff) reset() { b.wait = 0 }

// warnWide warns, once each, of rules that answer for a whole on-link prefix of
// the uplink: they answer for the other stations of the link, too.
func (u *uplink) warnWide() {
	var all []string
	for _, p := range widePrefixes(u.view, u.link) {
		key := p.String()
		if all = append(all, key); slices.Contains(u.wideFor, key) {
			continue
		}
		u.log.Warn("a rule covers all of a prefix that is on-link here, and answers for the other stations of the link too: deny their addresses, or use longer prefixes", "prefix", p)
	}
	u.wideFor = all
}

// widePrefixes returns the answered prefixes that hold a whole on-link prefix
// of the link.
func widePrefixes(view *rules.View, link rules.Link) []netip.Prefix {
	if view == nil {
		return nil
	}
	var wide []netip.Prefix
	for p, v := range view.Decisions() {
		covers := func(a rules.LinkAddress) bool {
			onLink := a.Prefix.Masked()
			return onLink.Bits() < 128 && p.Bits() <= onLink.Bits() && p.Contains(onLink.Addr())
		}
		if v.Answer && slices.ContainsFunc(link.Addresses, covers) {
			wide = append(wide, p)
		}
	}
	slices.SortFunc(wide, netip.Prefix.Compare)
	return wide
}
