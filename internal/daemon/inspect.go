// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Inspection is what a configuration comes to on this host.
type Inspection struct {
	Uplinks  []string  `json:"uplinks"`
	Rules    int       `json:"rules"`
	Findings []Finding `json:"findings"`
}

// Inspect looks at the host for a configuration, and changes nothing. It needs
// no privilege; what takes one to see is left out.
func Inspect(c *config.Config) (Inspection, error) {
	if _, err := rules.Compile(c.Rules); err != nil {
		return Inspection{}, err
	}
	w, err := hostwatch.Watch()
	if err != nil {
		return Inspection{}, err
	}
	defer w.Close()
	s := &supervisor{config: c, routes: w.Routes}
	var (
		result  Inspection
		indices []int
	)
	for _, u := range s.discoverUplinks() {
		link, err := hostwatch.ReadLink(u.Interface, 0)
		if err != nil && !errors.Is(err, hostwatch.ErrNoLink) {
			return Inspection{}, err
		}
		s.uplinks = append(s.uplinks, &uplink{config: u, link: link, owner: s})
		indices = append(indices, link.Index)
		result.Uplinks = append(result.Uplinks, u.Interface)
	}
	s.routes.SetUplinks(indices)
	rs := s.discoverRules()
	result.Rules = len(rs)
	for _, u := range s.uplinks {
		result.Findings = append(result.Findings, u.findings(rs, true)...)
	}
	return result, nil
}

// findings inspects the uplink with the rules that are in force. unicast is true
// where the kernel's errors may be about solicitations for addresses of rules.
func (u *uplink) findings(rs []rules.Rule, unicast bool) []Finding {
	if u.link.Index == 0 {
		return nil // waited for, which the state tells
	}
	at := &site{
		uplink: u.config, link: u.link, routes: u.owner.routes, host: hostwatch.ReadUplink(u.link),
		onLink: u.onLink(u.owner.routes.HopsOf(u.link.Index).OnLink), claims: len(u.conflicts()),
		discovered: u.owner.config.DiscoverRules,
	}
	if !unicast {
		at.host.Unreachables = 0
	}
	at.rules = slices.DeleteFunc(slices.Clone(rs), func(r rules.Rule) bool { return !r.Covers(u.config.Interface) })
	return at.inspect()
}

// warn logs findings, each once while it stays.
func (u *uplink) warn(found []Finding) {
	var reasons []string
	for _, f := range found {
		reasons = append(reasons, f.Reason)
		if !slices.Contains(u.warned, f.Reason) {
			u.log.Warn("misconfiguration: "+f.What, "reason", f.Reason, "stays", f.Stays, "mend", f.Mend)
		}
	}
	u.warned = reasons
}

// probed reports whether unicast solicitations have come.
func (u *uplink) probed() bool { return u.counters.Received[ndp.Unicast].Load() > 0 }
