// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"

	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// keepUnicast has the nftables table be what it has to be now, and then lets programs in the
// kernel go that have stayed in its place.
func (d *daemon) keepUnicast(facts []*uplink.Facts) {
	wanted := consumed(facts, d.store.Load())
	d.keeper.Want(wanted)
	for _, f := range facts {
		if f.Path.Leaving && d.keeper.Tried(wanted) {
			d.uplinks.Relieve(f.Config.Interface)
		}
	}
}

// consumed returns what the nftables table is to keep from the kernel: unicast
// solicitations, and packets that would go back to where they came from, on the
// uplinks that ask for it. Where a program at tc ingress answers, it keeps the former from
// the kernel itself; a program at XDP cannot, because the packet socket has to hear them.
func consumed(facts []*uplink.Facts, table *rules.Table) []consume.Uplink {
	var wanted []consume.Uplink
	for _, f := range facts {
		if !f.Config.ConsumeUnicast && !f.Config.DropLoops || f.Link.Index == 0 || table == nil {
			continue
		}
		u := consume.Uplink{Index: f.Link.Index, MAC: f.Link.MAC}
		if f.Config.ConsumeUnicast && f.Path.Way != ndp.WayTC {
			u.Prefixes = table.View(f.Config.Interface).Hears()
		}
		if f.Config.DropLoops {
			u.Loops = loops(f.Config.Interface, table.Rules())
		}
		if len(u.Prefixes) == 0 && len(u.Loops) == 0 {
			continue
		}
		wanted = append(wanted, u)
	}
	return wanted
}

// loops returns the prefixes whose addresses are nobody's when no service proxy
// has taken a packet: it must not go back to where it came from.
func loops(uplink string, rs []rules.Rule) []netip.Prefix {
	var ps []netip.Prefix
	for _, r := range rs {
		if (r.Method == rules.Services || r.Method == rules.Static) && !r.Waiting && r.Covers(uplink) {
			ps = append(ps, r.Prefix)
		}
	}
	return ps
}
