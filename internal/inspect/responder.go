// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// responderWait is how long another responder has to answer. It may do so
	// with the delay of an anycast address (RFC 4861 §7.2.7).
	responderWait = rules.MaxDelay + 200*time.Millisecond
	// responderRules is how many rules are tried.
	responderRules = 8
)

// packetLink sends and receives whole Ethernet frames on a link.
type packetLink interface {
	Send(frame []byte) error
	// Receive waits for a frame until the deadline, and returns its length.
	Receive(b []byte) (int, error)
	SetDeadline(time.Time) error
	Close() error
}

// findResponder looks for another responder on the link of an uplink: it solicits
// an address that nobody has in each of some rules. Whoever advertises such an
// address answers for the whole prefix, as a second proxy does. Without the
// privilege to open a packet socket it finds nothing.
func findResponder(at Uplink, open func(index int) (packetLink, error)) ([]Finding, error) {
	if at.Link.Index == 0 || !at.Link.Up || !at.Link.Ethernet || at.Link.Master != "" {
		return nil, nil
	}
	link, err := open(at.Link.Index)
	if errors.Is(err, os.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for another responder on %s: %w", at.Config.Interface, err)
	}
	defer link.Close() //nolint:errcheck // nothing is lost with a socket that was read
	f, err := ask(at, link)
	if err != nil {
		return nil, fmt.Errorf("look for another responder on %s: %w", at.Config.Interface, err)
	}
	return f, nil
}

func ask(at Uplink, link packetLink) ([]Finding, error) {
	table, err := rules.Compile(asStatic(inForce(at.Rules)))
	if err != nil {
		return nil, err
	}
	iface, view := ndp.NewInterface(at.Link, at.Config), table.View(at.Config.Interface)
	asked := make(map[netip.Addr]bool)
	for _, r := range at.answering() {
		if r.Prefix.Bits() > joinable || len(asked) >= responderRules {
			continue // a short prefix may have no free address
		}
		target := randomIn(r.Prefix)
		frame, err := iface.Solicitation(target)
		if err != nil {
			return nil, nil // there is no address to ask from, which the state tells
		}
		if err := link.Send(frame); err != nil {
			return nil, err
		}
		asked[target] = true
	}
	if len(asked) == 0 {
		return nil, nil
	}
	if err := link.SetDeadline(time.Now().Add(responderWait)); err != nil {
		return nil, err
	}
	b := make([]byte, 2048)
	for {
		n, err := link.Receive(b)
		if err != nil {
			return nil, nil //nolint:nilerr // nobody answered, or the link went down meanwhile
		}
		sign, ok := ndp.Sight(b[:n], ndp.Meta{Index: at.Link.Index}, iface, view)
		if ok && asked[sign.Address] {
			return []Finding{{
				Interface: at.Config.Interface, Reason: reasonResponder, Severity: Warning,
				Problem: fmt.Sprintf("%s answers for %s, which nobody has: another proxy answers for the whole prefix", net.HardwareAddr(sign.MAC[:]), sign.Address),
				Effect:  "routers get two answers, and send packets to either",
				Remedy:  "stop the other proxy (ndppd, proxy_ndp, ndproxyd on another node), or give each its own prefix",
			}}, nil
		}
	}
}

// asStatic returns rules for the same prefixes that need no evidence.
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
