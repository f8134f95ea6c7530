// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func (d *daemon) status() Status {
	s := Status{
		Version: d.options.Version, PID: os.Getpid(), Started: d.started,
		Config: d.options.Origin, Ready: d.ready(), Reload: d.metrics.reloadStatus(),
	}
	s.NotFollowed = d.supervisor.routes.Policy()
	s.Entries = make(map[string]int)
	if t := d.supervisor.store.Load(); t != nil {
		s.Rules = len(t.Rules())
		for _, src := range rules.Sources() {
			s.Entries[src.String()] = t.Entries(src)
		}
	}
	s.Cluster = d.clusterStatus()
	d.supervisor.look(func(u *uplink) { s.Uplinks = append(s.Uplinks, u.status()) })
	return s
}

func (u *uplink) status() UplinkStatus {
	s := UplinkStatus{
		Interface: u.config.Interface, State: u.state.String(), Why: u.why, Since: u.since,
		Index: u.link.Index, Source: u.config.Source.String(),
		Membership: MembershipStatus{Mode: u.config.Membership.String()},
		Ignored:    make(map[string]uint64),
	}
	if u.link.Name != u.config.Interface {
		s.Name = u.link.Name
	}
	if u.link.Ethernet {
		s.MAC = macString(u.link.MAC)
	}
	if u.iface != nil {
		s.Router = u.iface.Router()
	}
	if u.membership != nil {
		m := u.membership.Status()
		s.Membership.Groups, s.Membership.AllMulti, s.Membership.Unjoined, s.Membership.Wide = m.Groups, m.AllMulti, m.Unjoined, m.Wide
	}
	u.countDrops()
	for _, k := range ndp.Kinds() {
		s.Received += u.counters.Received[k].Load()
		s.Answered += u.counters.Answered[k].Load()
	}
	for _, r := range ndp.Reasons() {
		if n := u.counters.Ignored[r].Load(); n > 0 {
			s.Ignored[r.String()] = n
		}
	}
	s.Drops = u.counters.Drops.Load()
	s.Announced, s.Announcing = u.counters.Unsolicited.Load(), u.duties.announcer.Len()
	s.Unannounced = u.duties.announcer.Dropped
	s.Conflicts = u.conflicts()
	return s
}

// conflicts returns the claims that stand, in order.
func (u *uplink) conflicts() []ConflictStatus {
	var cs []ConflictStatus
	for a, c := range u.duties.claims.All {
		if c.Stands {
			cs = append(cs, ConflictStatus{Address: a, MAC: macString(c.MAC), Since: c.Since})
		}
	}
	slices.SortFunc(cs, func(a, b ConflictStatus) int { return a.Address.Compare(b.Address) })
	return cs
}

// countDrops asks the kernel for its figure, which is the only one of the
// counters that is not kept here.
func (u *uplink) countDrops() {
	if u.listener != nil {
		u.report(u.listener.CountDrops())
	}
}
