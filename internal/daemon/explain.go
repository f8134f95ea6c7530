// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// lastSolicitations is how many of them an explanation shows.
	lastSolicitations = 5
	// explainWait is how long the uplinks get to say what they announce. The rest
	// of an explanation is there without it.
	explainWait = time.Second
)

// Explain tells what becomes of a solicitation for a target on each uplink.
func (d *daemon) Explain(ctx context.Context, target netip.Addr) status.Explanation {
	e := status.Explanation{Target: target}
	table, states := d.store.Load(), d.ruleStates()
	asked, cancel := context.WithTimeout(ctx, explainWait)
	defer cancel()
	all := d.uplinks.All()
	if len(all) == 0 {
		e.NoUplink, e.Entry = d.noUplink(), d.kernelEntry(target)
	}
	for _, u := range all {
		x := d.explainOn(u.Facts(), table, states, target)
		if begun, left, ok, err := u.Series(asked, target); err == nil && ok {
			x.Announcement = &status.Announcement{Begun: begun, Left: left}
		}
		e.Answers = append(e.Answers, x)
	}
	return e
}

func (d *daemon) explainOn(f *uplink.Facts, table *rules.Table, states []status.RuleState, target netip.Addr) status.UplinkExplanation {
	e := status.UplinkExplanation{Interface: f.Config.Interface, Last: lastOf(f, target)}
	iface := f.Interface
	if iface == nil { // not there: explain the rules alone
		iface = ndp.NewInterface(rules.Link{}, f.Config)
	}
	verdict, reason := ndp.Decide(target, iface, table.View(f.Config.Interface))
	e.Reason, e.Why = reason.String(), reason.Text()
	if verdict == nil {
		e.Waits, e.Entry = d.waits(states), d.kernelEntry(target)
		e.Remedy = d.uncovered(target)
		return e
	}
	r := table.Rules()[verdict.Rule]
	e.Rule = d.rule(int(verdict.Rule), r, states)
	e.Entry = d.decisive(f.Config.Interface, target, r, *verdict)
	method := r.Method
	e.Cluster = d.cluster.Explain(target, method)
	if method != rules.Services && r.TakesServices() { // for services as well, see [rules.Rule.Kinds]
		if c := d.cluster.Explain(target, rules.Services); c != nil && (c.Service != "" || c.Ignored != "") {
			e.Cluster, method = c, rules.Services
		}
	}
	for _, c := range f.Conflicts {
		if c.Address == target {
			e.Conflict = &status.Conflict{Address: c.Address, MAC: macString(c.MAC), Since: c.Since}
		}
	}
	e.DAD = undefended(*verdict, r)
	switch {
	case f.State != uplink.Ready && (reason == ndp.Answered || reason == ndp.Probing || reason == ndp.NoSourceAddress):
		e.Reason, e.Why = f.State.String(), f.Why
		return e
	case verdict.Silence == rules.Standby:
		e.Why = d.standby(r)
	case verdict.Silence == rules.NotAllocated && e.Cluster != nil && e.Cluster.Standby:
		e.Why = "this node stands by: enough others announce service addresses"
	case verdict.Silence == rules.NotLocal && e.Cluster != nil && e.Cluster.Absent != "":
		e.Why = "a pod of this node has the address, but " + e.Cluster.Absent + ": the node that it runs on answers"
	case e.Cluster != nil && (verdict.Silence == rules.OtherKind || e.Cluster.Untaken):
		e.Why = otherKind(r, e.Cluster)
	case e.Cluster != nil && e.Cluster.Silent != "" && isClustered(verdict.Silence):
		e.Why = e.Cluster.Silent
	case verdict.Silence == rules.NotLocal:
		if why := d.movedAway(target, r, e.Entry); why != "" {
			e.Why = why
		}
	case verdict.Silence == rules.NotListed:
		e.Why = d.notListed(r)
	case (verdict.Silence == rules.NoRoute || verdict.Silence == rules.OwnAddress) && e.Entry != nil:
		if why := noEvidence(f.Config.Interface, r, e.Entry); why != "" {
			e.Why = why
		}
	}
	e.Answerer = answerer(f, *verdict, reason)
	if e.Answered = reason == ndp.Answered; !e.Answered {
		if reason == ndp.Probing && verdict.Contested {
			e.Why = method.AnswerText(*verdict)
		}
		return e
	}
	e.Why, e.Before = method.AnswerText(*verdict), d.answersBefore(f.Config, target, r)
	e.Advertisement = &status.Advertisement{MAC: macString(f.Link.MAC), Router: iface.Router()}
	if r.Delay > 0 {
		e.Advertisement.Delay = "up to " + r.Delay.String()
	}
	return e
}

// otherKind says why a rule does not answer for a service address, and what would.
func otherKind(r rules.Rule, c *status.ClusterEntry) string {
	why := "the service " + c.Service + " has the address as " + c.Kind + ", and the rule answers for " + r.Kinds.String() + " only: "
	if !r.KindsByRange {
		return why + "kinds in a rule, or kubernetes.services.kinds, says for which else"
	}
	return why + "kinds in the rule says for which else. Cluster IPs count without it where the rule's prefix lies inside of a ServiceCIDR of the cluster"
}

// isClustered reports whether what the cluster says explains a silence.
func isClustered(s rules.Silence) bool {
	return s == rules.NotAllocated || s == rules.NotOwner || s == rules.NotLocal || s == rules.NodeAddress
}

// noEvidence tells why the kernel's route is no evidence for a rule, "" where the
// reason of the silence says all.
func noEvidence(uplink string, r rules.Rule, e *status.Entry) string {
	switch {
	case r.OwnOnly && e.Behind:
		return "the node does not forward IPv6 packets that arrive on " + uplink + ", so only what this host itself has is answered for: sysctl -w net.ipv6.conf.all.forwarding=1 changes that"
	case e.Host && r.IgnoreOwn:
		return "this host itself has the address, on " + e.Device + ", and the rule says own_addresses: false"
	case len(r.Devices) > 0 && e.Device != "" && !slices.Contains(r.Devices, e.Device):
		return "the kernel's route leads to " + e.Device + ", which the rule does not name in devices"
	}
	return e.Why
}

// undefended says why duplicate address detection of other stations is left
// unanswered, "" where it is not.
func undefended(v rules.Verdict, r rules.Rule) string {
	switch {
	case !v.IgnoreDAD:
		return ""
	case r.DAD == rules.DADIgnore:
		return "another station may take the address as its own: the rule says dad: ignore"
	}
	return "another station may take the address as its own: the rule covers an on-link prefix of the uplink, and nothing shows that this very address is in use behind this node (dad: defend changes that)"
}

// kernelEntry returns what the kernel's routes say of a target, whatever the rules.
func (d *daemon) kernelEntry(target netip.Addr) *status.Entry {
	e := &status.Entry{Source: rules.Kernel.String(), Explanation: d.judge.Explain(target)}
	if known, ok := d.store.Entry(rules.Kernel, target); ok {
		e.Prefix, e.Since, e.Device = known.Prefix.String(), &known.Since, d.routes.Name(known.Device)
	}
	return e
}

// uncovered says which rule would answer for a target that no rule covers, "" where
// nothing leads behind this host.
func (d *daemon) uncovered(target netip.Addr) string {
	known, ok := d.store.Entry(rules.Kernel, target)
	if !ok || known.Prefix.Bits() == 0 || !known.Behind && !known.Host {
		return ""
	}
	r := discover.Route{Prefix: known.Prefix, Neighbor: known.Neighbor, Host: known.Host}.Rule()
	return "if the router asks for it, because the prefix is delivered on the link: add the rule " + r.String()
}

// notListed says why the file of a rule does not list a target.
func (d *daemon) notListed(r rules.Rule) string {
	for _, f := range d.targets.Files() {
		switch summary := f.Summary(); {
		case f.Path != r.Targets:
		case f.Err != nil && f.Targets == 0:
			return "the file of targets that the rule names cannot be read: " + summary
		case summary != "":
			return r.Targets + " does not list the address, and has lines that do not count: " + summary
		}
	}
	return r.Targets + " does not list the address"
}

// entry returns the evidence for a target, nil where the rule asks for none that
// comes from the kernel or a probe.
func (d *daemon) entry(uplink string, target netip.Addr, r rules.Rule) *status.Entry {
	for _, source := range []rules.Source{rules.Probed, rules.Kernel} {
		if !r.Method.Asks(source) {
			continue
		}
		known, ok := d.store.Entry(source, target)
		if source == rules.Kernel {
			known, ok = d.store.Route(uplink, &r, target)
		}
		if source == rules.Probed && (!ok || known.Host) { // which the kernel's route says better
			continue
		}
		e := &status.Entry{Source: source.String(), Explanation: d.judge.From(uplink, r.Table).Explain(target)}
		if ok {
			e.Prefix, e.Since = known.Prefix.String(), &known.Since
			e.Device = d.routes.Name(known.Device)
		}
		return e
	}
	return nil
}

// lastOf returns the last solicitations for a target, newest first.
func lastOf(f *uplink.Facts, target netip.Addr) []status.Solicitation {
	records, _, _ := f.Recent.Since(0)
	var last []status.Solicitation
	for i := len(records) - 1; i >= 0 && len(last) < lastSolicitations; i-- {
		if records[i].Target == target {
			last = append(last, status.FromRecord(f.Config.Interface, records[i]))
		}
	}
	return last
}
