// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// maxHandedOver bounds the addresses that are announced because they were asked for
// lately.
const maxHandedOver = 256

// handOver takes over what rules cover that have waited for their conditions until now:
// another host answered in the meantime. What stations have claimed is forgotten,
// because that was this host's peer. Addresses that routers have asked for lately are
// announced, as they send to the peer until they hear of another MAC address. Single
// addresses that have a line of their own are announced anyhow.
func (u *Uplink) handOver(deltas []rules.Delta) {
	var wide []netip.Prefix             // there are few of them
	single := make(map[netip.Addr]bool) // whether it is announced anyhow
	for _, d := range deltas {
		switch {
		case !begins(d):
		case d.Prefix.IsSingleIP():
			single[d.Prefix.Addr()] = d.After.Announced()
		default:
			wide = append(wide, d.Prefix)
		}
	}
	if len(wide) == 0 && len(single) == 0 {
		return
	}
	begun := func(a netip.Addr) bool {
		_, ok := single[a]
		return ok || slices.ContainsFunc(wide, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if u.conflicts.dropAll(u, begun) {
		u.resync() // what was claimed is answered for and announced like the rest
	}
	if u.state != Ready || u.config.Gratuitous == rules.GratuitousNone {
		return
	}
	now := time.Now()
	for _, a := range askedLately(u.recent, func(a netip.Addr) bool {
		return !single[a] && begun(a) && u.stillOurs(a)
	}) {
		u.announcements.announcer.TakeOver(a, u.view.Find(a).Delay == 0, now)
	}
}

// begins reports whether the condition of a rule is met that was not met before.
func begins(d rules.Delta) bool {
	return d.Before.Silence == rules.Standby && d.After.Silence != rules.Standby
}

// stillOurs reports whether the present view answers for an address, and no other node
// has it from now on, nor may have it since the daemon started anew.
func (u *Uplink) stillOurs(a netip.Addr) bool {
	v := u.view.Find(a)
	return v != nil && v.Answer && !v.Leaving && !v.Unconfirmed
}

// announces reports whether the present view answers for an address that this node may
// announce: the interface's own kernel does that for the addresses of the interface.
func (u *Uplink) announces(a netip.Addr) bool {
	return u.stillOurs(a) && (u.iface == nil || !u.iface.Owns(a))
}

// askedLately returns the wanted ones of the addresses that were asked for last, each
// once: while their rule waited, and also before that, when this host answered. A router
// that has an address from an announcement of the peer asks nobody for it, so nothing was
// recorded of it since.
func askedLately(recent *ndp.Recent, wanted func(netip.Addr) bool) []netip.Addr {
	records, _, _ := recent.Since(0)
	seen := make(map[netip.Addr]bool)
	var asked []netip.Addr
	for _, r := range slices.Backward(records) {
		if !waitedOrAnswered(r.Reason) || seen[r.Target] {
			continue
		}
		if seen[r.Target] = true; !wanted(r.Target) {
			continue
		}
		if asked = append(asked, r.Target); len(asked) == maxHandedOver {
			break
		}
	}
	return asked
}

// waitedOrAnswered reports whether a solicitation with that outcome was one that the rule
// answers, or would have answered but for its condition.
func waitedOrAnswered(r ndp.Reason) bool {
	return r == ndp.Answered || r == ndp.Withdrawn || r == ndp.Silent(rules.Standby)
}
