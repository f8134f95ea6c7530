// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// policyCase is a case whose outcome depends on settings or on the link.
type policyCase struct {
	name   string
	frame  Frame
	uplink rules.Uplink
	link   func(*rules.Link)
	meta   func(*ndp.Meta)
	noView bool
	want   ndp.Reason
	source netip.Addr
	router bool
	delay  bool
}

func policyCases() []policyCase {
	fromGlobal, fromLinkLocal, probe := pod(), pod(func(f *Frame) { f.Source = RouterLinkLocal }), pod(dad)
	offLink := pod(source("2001:db8:ffff::1"))
	target, linkLocal := rules.Uplink{Source: rules.SourceTarget}, rules.Uplink{Source: rules.SourceLinkLocal}
	onLinkOnly := rules.Uplink{RequireOnLinkSource: true}
	bare := func(l *rules.Link) { l.Addresses = nil }
	return []policyCase{
		{name: "A8 auto, global source", frame: fromGlobal, source: NodeAddr, router: true},
		{name: "A8 auto, link-local source", frame: fromLinkLocal, source: NodeLinkLocal, router: true},
		{name: "A8 auto, duplicate address detection", frame: probe, source: NodeLinkLocal, router: true},
		{name: "A8 link-local, global source", frame: fromGlobal, uplink: linkLocal, source: NodeLinkLocal, router: true},
		{name: "A8 link-local, link-local source", frame: fromLinkLocal, uplink: linkLocal, source: NodeLinkLocal, router: true},
		{name: "A8 link-local, duplicate address detection", frame: probe, uplink: linkLocal, source: NodeLinkLocal, router: true},
		{name: "A8 target, global source", frame: fromGlobal, uplink: target, source: Pod, router: true},
		{name: "A8 target, link-local source", frame: fromLinkLocal, uplink: target, source: Pod, router: true},
		{name: "A8 target, duplicate address detection", frame: probe, uplink: target, source: Pod, router: true},
		{name: "A8 auto, deprecated address is the last choice", frame: fromGlobal, source: addr("2001:db8:1::2"), router: true, link: func(l *rules.Link) {
			l.Addresses[0].Deprecated = true
			l.Addresses = append(l.Addresses, rules.LinkAddress{Prefix: netip.MustParsePrefix("2001:db8:1::2/64"), Usable: true})
		}},
		{name: "A8 auto, no link-local address", frame: probe, source: NodeAddr, router: true, link: func(l *rules.Link) { l.Addresses = l.Addresses[:1] }},
		{name: "A10 no address", frame: fromGlobal, link: bare, want: ndp.NoSourceAddress},
		{name: "A10 tentative address", frame: fromGlobal, want: ndp.NoSourceAddress, link: func(l *rules.Link) {
			l.Addresses = []rules.LinkAddress{{Prefix: netip.PrefixFrom(NodeAddr, 64)}}
		}},
		{name: "A10 no address is needed for target", frame: fromGlobal, uplink: target, link: bare, source: Pod, router: true},
		{name: "A10 link-local only, and none there", frame: fromGlobal, uplink: linkLocal, want: ndp.NoSourceAddress, link: func(l *rules.Link) { l.Addresses = l.Addresses[:1] }},
		{name: "A5 auto, not forwarding", frame: fromGlobal, source: NodeAddr, link: func(l *rules.Link) { l.Forwarding = false }},
		{name: "A5 true, not forwarding", frame: fromGlobal, uplink: rules.Uplink{Router: rules.RouterTrue}, source: NodeAddr, router: true, link: func(l *rules.Link) { l.Forwarding = false }},
		{name: "A5 false, forwarding", frame: fromGlobal, uplink: rules.Uplink{Router: rules.RouterFalse}, source: NodeAddr},
		{name: "V20 on-link sources only, off-link source", frame: offLink, uplink: onLinkOnly, want: ndp.OffLinkSource},
		{name: "V20 on-link sources only, on-link source", frame: fromGlobal, uplink: onLinkOnly, source: NodeAddr, router: true},
		{name: "V20 on-link sources only, link-local source", frame: fromLinkLocal, uplink: onLinkOnly, source: NodeLinkLocal, router: true},
		{name: "V20 on-link sources only, duplicate address detection", frame: probe, uplink: onLinkOnly, source: NodeLinkLocal, router: true},
		{name: "L13 ignored source address", frame: fromGlobal, uplink: ignoring(rules.Asker{Prefix: netip.PrefixFrom(RouterAddr, 64).Masked()}), want: ndp.IgnoredSource},
		{name: "L13 ignored Ethernet source", frame: pod(options(sourceLink(OtherMAC))), uplink: ignoring(rules.Asker{MAC: RouterMAC}), want: ndp.IgnoredSource},
		{name: "L13 ignored source link-layer address", frame: pod(options(sourceLink(OtherMAC))), uplink: ignoring(rules.Asker{MAC: OtherMAC}), want: ndp.IgnoredSource},
		{name: "L13 another asker", frame: fromGlobal, uplink: ignoring(rules.Asker{MAC: OtherMAC}, rules.Asker{Prefix: PodPrefix}), source: NodeAddr, router: true},
		{name: "V3 partial checksum of this host", frame: pod(func(f *Frame) { f.Corrupt = true }), source: NodeAddr, router: true, meta: func(m *ndp.Meta) { m.ChecksumPartial = true }},
		{name: "L3 frame of another interface", frame: fromGlobal, want: ndp.OtherInterface, meta: func(m *ndp.Meta) { m.Index = 99 }},
		{name: "L1 outgoing frame", frame: fromGlobal, want: ndp.NotForUs, meta: func(m *ndp.Meta) { m.Type = ndp.PacketOutgoing }},
		{name: "G2 duplicate address detection of a station on our side of a bridge", frame: probe, want: ndp.LocalStation, link: func(l *rules.Link) {
			l.Bridge, l.Stations = true, map[[6]byte]bool{RouterMAC: true}
		}},
		{name: "G2 duplicate address detection of another station", frame: probe, source: NodeLinkLocal, router: true, link: func(l *rules.Link) {
			l.Bridge, l.Stations = true, map[[6]byte]bool{OtherMAC: true}
		}},
		{name: "M1 no table yet", frame: fromGlobal, noView: true, want: ndp.NoRule},
		{name: "D1 delay of a multicast solicitation", frame: solicitation(addr("2001:db8:2::1")), source: NodeAddr, router: true, delay: true},
		{name: "D3 no delay of a unicast solicitation", frame: solicitation(addr("2001:db8:2::1"), unicast(addr("2001:db8:2::1"))), source: NodeAddr, router: true},
	}
}

func ignoring(askers ...rules.Asker) rules.Uplink { return rules.Uplink{IgnoreSources: askers} }

// delayed is a rule whose answers to multicast solicitations are delayed.
func delayed() rules.Rule {
	return rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:2::/64"), Method: rules.Static, Delay: rules.MaxDelay}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	table, err := rules.Compile(append(Rules(), delayed()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range policyCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			link := Link(index)
			if c.link != nil {
				c.link(&link)
			}
			frame, meta := c.frame.Received(index)
			if c.meta != nil {
				c.meta(&meta)
			}
			v := table.View("uplink")
			if c.noView {
				v = nil
			}
			var reply ndp.Advertisement
			var s ndp.Solicitation
			res := ndp.Respond(&reply, &s, frame, meta, ndp.NewInterface(link, c.uplink), v)
			if res.Reason != c.want {
				t.Fatalf("reason is %s, want %s", res.Reason, c.want)
			}
			if c.want != ndp.Answered {
				return
			}
			a, err := Decode(reply[:])
			if err != nil {
				t.Fatal(err)
			}
			if a.Source != c.source || a.Router != c.router || a.Override {
				t.Errorf("source %s router %t override %t, want %s, %t, false", a.Source, a.Router, a.Override, c.source, c.router)
			}
			if got := res.Delay > 0; got != c.delay {
				t.Errorf("delay is %s", res.Delay)
			}
		})
	}
}
