// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"os"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Status is what a running daemon tells of itself.
type Status struct {
	Version Version        `json:"version"`
	PID     int            `json:"pid"`
	Started time.Time      `json:"started"`
	Config  string         `json:"config"`
	Ready   bool           `json:"ready"`
	Rules   int            `json:"rules"`
	Reload  ReloadStatus   `json:"reload"`
	Uplinks []UplinkStatus `json:"uplinks"`
}

// ReloadStatus tells how the last load of the configuration went.
type ReloadStatus struct {
	Successful  bool      `json:"successful"`
	LastSuccess time.Time `json:"last_success"`
}

// UplinkStatus is the state of one uplink.
type UplinkStatus struct {
	Interface string    `json:"interface"`
	State     string    `json:"state"`
	Why       string    `json:"why,omitempty"`
	Since     time.Time `json:"since"`
	// Name is the device's present name where it was renamed.
	Name       string           `json:"name,omitempty"`
	Index      int              `json:"index,omitempty"`
	MAC        string           `json:"mac,omitempty"`
	Router     bool             `json:"router"`
	Source     string           `json:"source"`
	Membership MembershipStatus `json:"membership"`
	Received   uint64           `json:"solicitations_received"`
	Answered   uint64           `json:"solicitations_answered"`
	// Ignored holds the reasons that were met so far.
	Ignored map[string]uint64 `json:"solicitations_ignored,omitempty"`
	Drops   uint64            `json:"socket_drops"`
}

// MembershipStatus tells how multicast reaches an uplink.
type MembershipStatus struct {
	Mode     string         `json:"mode"`
	Groups   int            `json:"groups"`
	AllMulti bool           `json:"all_multicast"`
	Unjoined []netip.Prefix `json:"unjoined,omitempty"`
}

func (d *daemon) status() Status {
	s := Status{
		Version: d.options.Version, PID: os.Getpid(), Started: d.started,
		Config: d.options.Origin, Ready: d.ready(), Reload: d.metrics.reloadStatus(),
	}
	if t := d.supervisor.store.Load(); t != nil {
		s.Rules = len(t.Rules())
	}
	d.supervisor.look(func(u *uplink) { s.Uplinks = append(s.Uplinks, u.status()) })
	return s
}

// ready reports whether a table is published and an uplink answers from it.
func (d *daemon) ready() bool {
	ready := false
	d.supervisor.look(func(u *uplink) { ready = ready || u.state == Ready })
	return ready && d.supervisor.store.Load() != nil
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
		s.Membership.Groups, s.Membership.AllMulti, s.Membership.Unjoined = m.Groups, m.AllMulti, m.Unjoined
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
	return s
}

// countDrops asks the kernel for its figure, which is the only one of the
// counters that is not kept here.
func (u *uplink) countDrops() {
	if u.listener != nil {
		u.report(u.listener.CountDrops())
	}
}

// Explanation tells what becomes of a solicitation for an address.
type Explanation struct {
	Target  netip.Addr          `json:"target"`
	Answers []UplinkExplanation `json:"uplinks"`
}

// UplinkExplanation is the explanation for one uplink.
type UplinkExplanation struct {
	Interface string `json:"interface"`
	Answered  bool   `json:"answered"`
	// Reason is one of the reasons of docs/conformance.md, or the state of an
	// uplink that is not ready.
	Reason string `json:"reason"`
	// Why is the reason in words.
	Why string `json:"why"`
	// Rule is the most specific rule for the target, if there is one.
	Rule *RuleStatus `json:"rule,omitempty"`
	// Advertisement is what would be sent to an asker of the same subnet.
	Advertisement *AdvertisementStatus `json:"advertisement,omitempty"`
}

// RuleStatus is a rule with its place in the configuration.
type RuleStatus struct {
	Index  int    `json:"index"`
	Prefix string `json:"prefix"`
	Method string `json:"method"`
}

// AdvertisementStatus describes an advertisement.
type AdvertisementStatus struct {
	MAC      string `json:"mac"`
	Router   bool   `json:"router"`
	Override bool   `json:"override"`
	Delay    string `json:"delay,omitempty"`
}

func (d *daemon) explain(target netip.Addr) Explanation {
	e := Explanation{Target: target}
	d.supervisor.look(func(u *uplink) { // under the lock that also publishes
		e.Answers = append(e.Answers, u.explain(target, d.supervisor.store.Load()))
	})
	return e
}

func (u *uplink) explain(target netip.Addr, table *rules.Table) UplinkExplanation {
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
	r := table.Rules()[verdict.Rule]
	e.Rule = &RuleStatus{Index: int(verdict.Rule), Prefix: r.Prefix.String(), Method: r.Method.String()}
	if u.state != Ready && (reason == ndp.Answered || reason == ndp.NoSourceAddress) {
		e.Reason, e.Why = u.state.String(), u.why
		return e
	}
	if e.Answered = reason == ndp.Answered; e.Answered {
		e.Advertisement = &AdvertisementStatus{MAC: macString(u.link.MAC), Router: iface.Router()}
		if r.Delay > 0 {
			e.Advertisement.Delay = "up to " + r.Delay.String()
		}
	}
	return e
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
	case ndp.OwnTarget:
		return "the address is assigned to the uplink itself: the kernel answers for it"
	case ndp.TargetScope:
		return "an address of this kind is never answered for: multicast, unspecified, loopback, IPv4-mapped and link-local ones"
	case ndp.NoSourceAddress:
		return "the uplink has no usable address to answer from"
	}
	return r.String()
}
