// SPDX-License-Identifier: Apache-2.0

package ndp_test

import (
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// TestWitness answers for the peers that this daemon hears, and for no others.
func TestWitness(t *testing.T) {
	t.Parallel()
	v := view(t, []rules.Rule{{Prefix: netip.MustParsePrefix("::/0"), Method: rules.Static}})
	iface := ndp.NewInterface(conformance.Link(index), rules.Uplink{Presence: rules.Presence("this"), Witnessed: []netip.Addr{rules.Witness("heard")}})
	for target, want := range map[netip.Addr]ndp.Reason{
		rules.Witness("heard"): ndp.Answered, rules.Witness("silent"): ndp.TargetScope, rules.Presence("heard"): ndp.TargetScope,
	} {
		frame, meta := conformance.Solicitation(target).Received(index)
		var reply ndp.Advertisement
		var s ndp.Solicitation
		if res := ndp.Respond(&reply, &s, frame, meta, iface, v); res.Reason != want {
			t.Errorf("%s: %s, want %s", target, res.Reason, want)
		}
	}
}

// TestPresenceSource looks where questions about a daemon's presence, and the answers,
// leave from.
func TestPresenceSource(t *testing.T) {
	t.Parallel()
	own := rules.Presence("this")
	link := conformance.Link(index)
	global, local := netip.Addr{}, netip.Addr{}
	for _, a := range link.Addresses {
		switch ip := a.Prefix.Addr(); {
		case ip.IsLinkLocalUnicast():
			local = ip
		case !global.IsValid():
			global = ip
		}
	}
	for source, want := range map[rules.SourcePolicy]netip.Addr{rules.SourceAuto: global, rules.SourceTarget: global, rules.SourceLinkLocal: local} {
		iface := ndp.NewInterface(link, rules.Uplink{Presence: own, Source: source})
		question, err := iface.AskStation(rules.Presence("other"), [6]byte{2})
		if err != nil {
			t.Fatal(err)
		}
		if got := netip.AddrFrom16([16]byte(question[22:38])); got != want {
			t.Errorf("%s: the question leaves from %s, want %s", source, got, want)
		}
		frame, meta := conformance.Solicitation(own).Received(index)
		var reply ndp.Advertisement
		var s ndp.Solicitation
		ndp.Respond(&reply, &s, frame, meta, iface, nil)
		if got := netip.AddrFrom16([16]byte(reply[22:38])); got == own || source == rules.SourceTarget && got != want {
			t.Errorf("%s: the answer leaves from %s", source, got)
		}
	}
}

// TestRouterAnswer hears the answer of a router, where the daemon has peers.
func TestRouterAnswer(t *testing.T) {
	t.Parallel()
	hop := netip.MustParseAddr("fe80::1")
	router := ndp.NewInterface(rules.Link{Index: 9, MAC: [6]byte{2, 9}, Addresses: []rules.LinkAddress{{Prefix: netip.PrefixFrom(hop, 64), Usable: true}}}, rules.Uplink{})
	frame, err := router.Unsolicited(hop, true, false)
	if err != nil {
		t.Fatal(err)
	}
	for presence, want := range map[netip.Addr]bool{{}: false, rules.Presence("this"): true} {
		iface := ndp.NewInterface(conformance.Link(index), rules.Uplink{Presence: presence}).WithNextHops([]netip.Addr{hop})
		if _, got := ndp.Sight(frame, ndp.Meta{Index: index}, iface, nil); got != want {
			t.Errorf("presence %s: heard %t", presence, got)
		}
	}
}
