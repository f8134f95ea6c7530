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
// while a rule waited.
const maxHandedOver = 256

// handOver takes over what rules cover that have waited for their conditions until now:
// another host answered in the meantime. What stations have claimed is forgotten,
// because that was this host's peer. Addresses that routers have asked for lately are
// announced, as they send to the peer until they hear of another MAC address.
func (u *Uplink) handOver(deltas []rules.Delta) {
	begun := slices.DeleteFunc(slices.Clone(deltas), func(d rules.Delta) bool {
		return d.Before.Silence != rules.Standby || d.After.Silence == rules.Standby
	})
	if len(begun) == 0 {
		return
	}
	covered := func(a netip.Addr) bool {
		return slices.ContainsFunc(begun, func(d rules.Delta) bool { return d.Prefix.Contains(a) })
	}
	u.conflicts.dropAll(u, covered)
	if u.state != Ready || u.config.Gratuitous == rules.GratuitousNone {
		return
	}
	now := time.Now()
	for _, a := range askedInStandby(u.recent, covered) {
		if v := u.view.Find(a); v != nil && v.Announced() {
			u.announcements.announcer.TakeOver(a, v.Delay == 0, now)
		}
	}
}

// askedInStandby returns the addresses that were asked for last while their rule
// waited, each once.
func askedInStandby(recent *ndp.Recent, covered func(netip.Addr) bool) []netip.Addr {
	records, _, _ := recent.Since(0)
	seen := make(map[netip.Addr]bool)
	var asked []netip.Addr
	for _, r := range slices.Backward(records) {
		if r.Reason != ndp.Silent(rules.Standby) || seen[r.Target] || !covered(r.Target) {
			continue
		}
		seen[r.Target] = true
		if asked = append(asked, r.Target); len(asked) == maxHandedOver {
			break
		}
	}
	return asked
}
