// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// responderWait is how long another responder gets; it may answer with the
	// delay of an anycast address (RFC 4861 §7.2.7).
	responderWait = 1200 * time.Millisecond
	// responderRules is how many rules are tried.
	responderRules = 8
)

// findResponder asks on the uplink for an address that nobody has, in each of
// some rules: who answers answers for the whole prefix, as another proxy does.
// Without CAP_NET_RAW it finds nothing.
func (s *site) findResponder() (Finding, bool, error) {
	if s.link.Index == 0 || !s.link.Up || !s.link.Ethernet || s.link.Master != "" {
		return Finding{}, false, nil
	}
	conn, err := packet.Listen(&net.Interface{Index: s.link.Index}, packet.Raw, unix.ETH_P_IPV6, nil)
	if errors.Is(err, os.ErrPermission) {
		return Finding{}, false, nil
	}
	if err != nil {
		return Finding{}, false, fmt.Errorf("look for another responder: %w", err)
	}
	defer conn.Close() //nolint:errcheck // a question was all
	table, err := rules.Compile(asStatic(s.rules))
	if err != nil {
		return Finding{}, false, err
	}
	iface, view := ndp.NewInterface(s.link, s.uplink), table.View(s.uplink.Interface)
	asked := make(map[netip.Addr]bool)
	for _, r := range s.rules {
		if r.Method == rules.Deny || r.Prefix.Bits() > 120 || len(asked) >= responderRules {
			continue
		}
		target := randomIn(r.Prefix)
		frame, err := iface.Solicitation(target)
		if err != nil {
			return Finding{}, false, nil // no address to ask from, which the state tells
		}
		if _, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
			return Finding{}, false, fmt.Errorf("look for another responder: %w", err)
		}
		asked[target] = true
	}
	if len(asked) == 0 {
		return Finding{}, false, nil
	}
	if err := conn.SetReadDeadline(time.Now().Add(responderWait)); err != nil {
		return Finding{}, false, err
	}
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return Finding{}, false, nil // nobody
		}
		sign, ok := ndp.Sight(buf[:n], ndp.Meta{Index: s.link.Index}, iface, view)
		if ok && asked[sign.Address] {
			return Finding{
				Interface: s.uplink.Interface, Reason: findingResponder,
				What:  fmt.Sprintf("%s answers for %s, which nobody has: another proxy answers for the whole prefix", macString(sign.MAC), sign.Address),
				Stays: "routers get two answers, and send packets to either",
				Mend:  "stop the other one (ndppd, proxy_ndp, ndproxyd on another node), or give each its own prefix",
			}, true, nil
		}
	}
}

// asStatic returns rules that need no evidence, to look at their prefixes.
func asStatic(rs []rules.Rule) []rules.Rule {
	out := make([]rules.Rule, len(rs))
	for i, r := range rs {
		out[i] = rules.Rule{Prefix: r.Prefix, Method: rules.Static}
		if r.Method == rules.Deny {
			out[i].Method = rules.Deny
		}
	}
	return out
}

// randomIn returns an address of a prefix that nobody is likely to have.
func randomIn(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	for i := p.Bits(); i < 128; i++ {
		if rand.IntN(2) == 1 { //nolint:gosec // no secret
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	return netip.AddrFrom16(b)
}
