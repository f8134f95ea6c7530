// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// lastSolicitations is how many of them an explanation shows.
const lastSolicitations = 5

func (d *daemon) explain(target netip.Addr) Explanation {
	e := Explanation{Target: target}
	d.supervisor.look(func(u *uplink) { // under the lock that also publishes
		x := u.explain(target, d.supervisor)
		x.Last = u.last(target)
		if begun, left, ok := u.duties.announcer.State(target); ok {
			x.Announcement = &AnnouncementStatus{Begun: begun, Left: left}
		}
		e.Answers = append(e.Answers, x)
	})
	return e
}

func (u *uplink) explain(target netip.Addr, s *supervisor) UplinkExplanation {
	e := UplinkExplanation{Interface: u.config.Interface}
	iface := u.iface
	if iface == nil { // not there: explain the rules alone
		iface = ndp.NewInterface(rules.Link{}, u.config)
	}
	verdict, reason := ndp.Decide(target, iface, u.view)
	e.Reason, e.Why = reason.String(), explainReason(reason)
	if reason == ndp.NoRule || reason == ndp.TargetScope {
		return e
	}
	r := s.store.Load().Rules()[verdict.Rule]
	e.Rule = &RuleStatus{Index: int(verdict.Rule), Prefix: r.Prefix.String(), Method: r.Method.String()}
	e.Entry = s.entry(target, r)
	e.Cluster = s.cluster.explain(target, r.Method)
	for _, c := range u.conflicts() {
		if c.Address == target {
			e.Conflict = &c
		}
	}
	if u.state != Ready && (reason == ndp.Answered || reason == ndp.Probing || reason == ndp.NoSourceAddress) {
		e.Reason, e.Why = u.state.String(), u.why
		return e
	}
	if reason == ndp.NotAllocated && e.Cluster != nil && e.Cluster.Standby {
		e.Why = "this node stands by: enough others announce service addresses"
	}
	if reason == ndp.NoRoute && e.Entry != nil {
		e.Why = e.Entry.Why
	}
	if e.Answered = reason == ndp.Answered; !e.Answered {
		return e
	}
	switch {
	case verdict.Learned:
		e.Why = "the address has answered a solicitation of ours"
	case r.Method == rules.Pods:
		e.Why = "a pod of this node has the address"
	case r.Method == rules.Node:
		e.Why = "the address is in a prefix of this node, or of a pod of it"
	case r.Method == rules.Services:
		e.Why = "a service has the address, and this node answers for it"
	case r.Method == rules.Route, r.Method == rules.Probe:
		e.Why = "the kernel routes the address to a device behind this node"
	}
	e.Advertisement = &AdvertisementStatus{MAC: macString(u.link.MAC), Router: iface.Router()}
	if r.Delay > 0 {
		e.Advertisement.Delay = "up to " + r.Delay.String()
	}
	return e
}

// entry returns what is known of a target, nil where the rule does not ask.
func (s *supervisor) entry(target netip.Addr, r rules.Rule) *EntryStatus {
	if r.Method == rules.Static || r.Method == rules.Services || r.Method == rules.Deny {
		return nil
	}
	for _, source := range []rules.Source{rules.Probed, rules.Kernel} {
		entry, ok := s.store.Entry(source, target)
		if source == rules.Probed && (!ok || r.Method != rules.Probe) {
			continue
		}
		e := &EntryStatus{Source: source.String(), Explanation: s.judge.Explain(target)}
		if ok {
			e.Prefix, e.Since = entry.Prefix.String(), &entry.Since
			e.Device = s.routes.Name(entry.Device)
		}
		return e
	}
	return nil
}

// last returns the last solicitations for a target, newest first.
func (u *uplink) last(target netip.Addr) []RecordStatus {
	records, _, _ := u.recent.Since(0)
	var last []RecordStatus
	for i := len(records) - 1; i >= 0 && len(last) < lastSolicitations; i-- {
		if records[i].Target == target {
			last = append(last, u.record(records[i]))
		}
	}
	return last
}

func (u *uplink) record(r ndp.Record) RecordStatus {
	return RecordStatus{
		At: r.At, Interface: u.config.Interface, Target: r.Target, Source: r.Source,
		MAC: macString(r.MAC), Kind: r.Kind.String(), Reason: r.Reason.String(),
	}
}

// explainReason says in words why an ordinary solicitation for a target is
// answered or not. Reasons that depend on the frame do not come up here.
func explainReason(r ndp.Reason) string {
	switch r { //nolint:exhaustive // see above
	case ndp.Answered:
		return "the rule answers for every address of its prefix"
	case ndp.NoRule:
		return "no rule covers the address: add one to the configuration"
	case ndp.Denied:
		return "the most specific rule for the address is a deny rule"
	case ndp.NoRoute:
		return "the kernel has no route for the address to a device behind this node"
	case ndp.NotLocal:
		return "no pod of this node has the address, and no prefix of this node covers it"
	case ndp.NotAllocated:
		return "no service has the address"
	case ndp.NotOwner:
		return "another node answers for the service address"
	case ndp.NextHop:
		return "the address is the next hop of a route through the uplink: a router has it"
	case ndp.Claimed:
		return "another station on the uplink has the address, and answers for it"
	case ndp.Probing:
		return "the address is asked for behind this node first, and answered for when it answers"
	case ndp.OwnTarget:
		return "the address is assigned to the uplink itself: the kernel answers for it"
	case ndp.TargetScope:
		return "an address of this kind is never answered for: multicast, unspecified, loopback, IPv4-mapped and link-local ones"
	case ndp.NoSourceAddress:
		return "the uplink has no usable address to answer from"
	}
	return r.String()
}
