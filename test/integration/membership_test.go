// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestMembership asks through different links in each mode. Behind a switch
// with MLD snooping only a real join lets the solicitation through.
func TestMembership(t *testing.T) {
	t.Parallel()
	const address, wide = "2001:db8:1:0:f::5", "2001:db8:1:0:f::/80"
	tests := []struct {
		mode, prefix, link string
		hears              bool
	}{
		{"auto", address, "plain", true},
		{"auto", wide, "plain", true},
		{"join", address, "plain", true},
		{"allmulti", address, "plain", true},
		{"none", address, "plain", true}, // a veth filters nothing

		{"auto", address, "macvlan", true},
		{"auto", wide, "macvlan", true},
		{"join", address, "macvlan", true},
		{"join", wide, "macvlan", false},
		{"allmulti", address, "macvlan", true},
		{"none", address, "macvlan", false},

		{"auto", address, "snooping", true},
		{"auto", wide, "snooping", false}, // as the log says
		{"join", address, "snooping", true},
		{"allmulti", address, "snooping", false},
		{"none", address, "snooping", false},
	}
	for _, tt := range tests {
		t.Run(tt.mode+" "+tt.prefix+" "+tt.link, func(t *testing.T) {
			t.Parallel()
			sw := newSwitch(t)
			router := sw.connect("router", conformance.RouterMAC)
			node := sw.connect("node", [6]byte{2, 0, 0, 0, 5, 1})
			harness.Must(t, router.Address("eth0", "2001:db8:1::ff/64"))
			device := "eth0"
			if tt.link == "macvlan" {
				parent, err := node.Link.LinkByName("eth0")
				harness.Must(t, err)
				attrs := netlink.NewLinkAttrs()
				attrs.Name, attrs.ParentIndex, attrs.HardwareAddr = "mv0", parent.Attrs().Index, conformance.NodeMAC[:]
				harness.Must(t, node.Link.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}))
				harness.Must(t, node.Up("mv0"))
				device = "mv0"
			}
			harness.Must(t, node.Address(device, "2001:db8:1::1/64"))
			if tt.link == "snooping" {
				sw.snoop()
			}
			d := harness.Run(t, node, "--config", harness.WriteConfig(t,
				"version: 1\nuplinks: [{interface: "+device+", membership: "+tt.mode+"}]\nrules: [{prefix: '"+tt.prefix+"', method: static}]\n"))
			p := harness.OpenPort(t, router, "eth0")
			ask := func() bool {
				p.Send(conformance.Solicitation(conformance.Pod).Bytes())
				isAnswer := func(f []byte) bool {
					const solicited = 0x40 // the daemon announces the address, too
					return [16]byte(f[62:78]) == conformance.Pod.As16() && f[58]&solicited != 0
				}
				return slices.ContainsFunc(p.Advertisements(300*time.Millisecond, isAnswer), isAnswer)
			}
			if tt.link == "snooping" {
				// The switch floods until its querier has settled: wait until it
				// keeps a solicitation for a group nobody is in from the node,
				// and has learned who is in which group.
				// A frame to all nodes behind it, which no switch keeps, tells
				// when both have had their time.
				all := conformance.Solicitation(addr("2001:db8:1::eeee"))
				all.EtherDst, all.Dest = conformance.MAC{0x33, 0x33, 0, 0, 0, 1}, addr("ff02::1")
				inside := harness.OpenPort(t, node, device)
				toAll := func(f []byte) bool { return [6]byte(f) == all.EtherDst }
				harness.Eventually(t, "snooping", func() bool {
					inside.SolicitationsUntil(time.Millisecond, harness.Never) // what was sent before
					p.Send(conformance.Solicitation(all.Target).Bytes())
					p.Send(all.Bytes())
					heard := inside.SolicitationsUntil(harness.Patience, toAll)
					heard = append(heard, inside.SolicitationsUntil(harness.Quiet, harness.Never)...)
					return !slices.ContainsFunc(heard, func(f []byte) bool { return [16]byte(f[62:78]) == all.Target.As16() && !toAll(f) })
				})
			}
			if tt.hears {
				harness.Eventually(t, "answer", ask)
			} else if ask() {
				t.Error("answered, though no solicitation should arrive")
			}
			_ = d
		})
	}
}

// TestGroups follows the rules: joined with the first address that needs a
// group, left with the last.
func TestGroups(t *testing.T) {
	t.Parallel()
	const head = "version: 1\nuplinks: [{interface: uplink}]\nrules:\n"
	net := harness.NewNetwork(t)
	path := harness.WriteConfig(t, head+"  - {prefix: '2001:db8:1::77', method: static}\n  - {prefix: '2001:db8:2::77', method: static}\n")
	d := harness.Run(t, net.Node, "--config", path)
	steps := []struct {
		rules string
		in    bool
		count int
	}{
		{"  - {prefix: '2001:db8:2::77', method: static}\n", true, 1},
		{"  - {prefix: '2001:db8:3::77', method: static}\n", true, 1},
		{"  - {prefix: '2001:db8:3::78', method: static}\n", false, 1},
		{"  - {prefix: '2001:db8:3::/120', method: static}\n", true, 256},
		{"  []\n", false, 0},
	}
	for _, s := range steps {
		harness.Rewrite(t, path, head+s.rules)
		d.Reload()
		if got := hasGroup(t, net.Node, harness.Uplink, "ff02::1:ff00:77"); got != s.in {
			t.Errorf("with %s in the group: %t, want %t", s.rules, got, s.in)
		}
		if got := d.Status().Uplinks[0].Membership.Groups; got != s.count {
			t.Errorf("with %s %d groups, want %d", s.rules, got, s.count)
		}
	}
}

// TestManyGroups joins more groups than one socket can hold.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	net := harness.NewNetwork(t)
	const n = 8192
	d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: uplink, membership: join}]\nrules: [{prefix: '2001:db8:5::/115', method: static}]\n"))
	d.Wait("all groups", func(s status.Status) bool { return s.Uplinks[0].Membership.Groups == n })
	for _, group := range []string{"ff02::1:ff00:0", "ff02::1:ff00:1fff"} {
		if !hasGroup(t, net.Node, harness.Uplink, group) {
			t.Errorf("not in %s", group)
		}
	}
}
