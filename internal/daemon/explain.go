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
	e.Reason, e.Why = reason.String(), reason.Text()
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
	if reason == ndp.Silent(rules.NotAllocated) && e.Cluster != nil && e.Cluster.Standby {
		e.Why = "this node stands by: enough others announce service addresses"
	}
	if reason == ndp.Silent(rules.NoRoute) && e.Entry != nil {
		e.Why = e.Entry.Why
	}
	if e.Answered = reason == ndp.Answered; !e.Answered {
		return e
	}
	e.Why = r.Method.AnswerText(*verdict)
	e.Advertisement = &AdvertisementStatus{MAC: macString(u.link.MAC), Router: iface.Router()}
	if r.Delay > 0 {
		e.Advertisement.Delay = "up to " + r.Delay.String()
	}
	return e
}

// entry returns what is known of a target, nil where the rule does not ask.
func (s *supervisor) entry(target netip.Addr, r rules.Rule) *EntryStatus {
	if !r.Method.Asks(rules.Kernel) {
		return nil
	}
	for _, source := range []rules.Source{rules.Probed, rules.Kernel} {
		entry, ok := s.store.Entry(source, target)
		if source == rules.Probed && (!ok || !r.Method.Asks(rules.Probed)) {
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
