// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestConsumed asks what the nftables table keeps from the kernel.
func TestConsumed(t *testing.T) {
	t.Parallel()
	services, pods := netip.MustParsePrefix("2001:db8:1:0:e::/112"), netip.MustParsePrefix("2001:db8:1:0:f::/80")
	elsewhere := netip.MustParsePrefix("2001:db8:2::/64")
	mac := [6]byte{2, 0, 0, 0, 0, 1}
	facts := func(change func(*uplink.Facts)) *uplink.Facts {
		f := &uplink.Facts{Config: rules.Uplink{Interface: "eth0"}, Link: rules.Link{Name: "eth0", Index: 2, MAC: mac}}
		change(f)
		return f
	}
	store := new(rules.Store)
	if err := store.SetRules([]rules.Rule{
		{Prefix: services, Method: rules.Services},
		{Prefix: pods, Method: rules.Route},
		{Prefix: elsewhere, Method: rules.Static, Uplinks: []string{"eth1"}},
	}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		facts *uplink.Facts
		table *rules.Table
		want  []consume.Uplink
	}{
		{"nothing is wanted", facts(func(*uplink.Facts) {}), store.Load(), nil},
		{"no rules yet", facts(func(f *uplink.Facts) { f.Config.ConsumeUnicast = true }), nil, nil},
		{"no device yet", facts(func(f *uplink.Facts) { f.Config.ConsumeUnicast, f.Link.Index = true, 0 }), store.Load(), nil},
		{"unicast solicitations", facts(func(f *uplink.Facts) { f.Config.ConsumeUnicast = true }), store.Load(), []consume.Uplink{
			{Index: 2, MAC: mac, Prefixes: []netip.Prefix{services, pods}},
		}},
		{"unicast solicitations, and a program at tc ingress", facts(func(f *uplink.Facts) {
			f.Config.ConsumeUnicast, f.Path.Way = true, ndp.WayTC
		}), store.Load(), nil},
		{"unicast solicitations, and a program at XDP", facts(func(f *uplink.Facts) {
			f.Config.ConsumeUnicast, f.Path.Way = true, ndp.WayXDP
		}), store.Load(), []consume.Uplink{{Index: 2, MAC: mac, Prefixes: []netip.Prefix{services, pods}}}},
		{"loops", facts(func(f *uplink.Facts) { f.Config.DropLoops = true }), store.Load(), []consume.Uplink{
			{Index: 2, MAC: mac, Loops: []netip.Prefix{services}},
		}},
		{"both, of another uplink's rules", facts(func(f *uplink.Facts) {
			f.Config = rules.Uplink{Interface: "eth1", ConsumeUnicast: true, DropLoops: true}
		}), store.Load(), []consume.Uplink{
			{Index: 2, MAC: mac, Prefixes: []netip.Prefix{services, pods, elsewhere}, Loops: []netip.Prefix{services, elsewhere}},
		}},
		// It keeps its name in the configuration, by which rules name it.
		{"renamed", facts(func(f *uplink.Facts) { f.Config.DropLoops, f.Link.Name = true, "lan" }), store.Load(), []consume.Uplink{
			{Index: 2, MAC: mac, Loops: []netip.Prefix{services}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := consumed([]*uplink.Facts{tt.facts}, tt.table); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
