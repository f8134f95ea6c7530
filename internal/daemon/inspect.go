// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Inspection is what a configuration comes to on this host.
type Inspection struct {
	Uplinks  []UplinkInspection `json:"uplinks"`
	Rules    int                `json:"rules"`
	Findings []Finding          `json:"findings"`
}

// UplinkInspection tells whether an uplink could answer.
type UplinkInspection struct {
	Interface string `json:"interface"`
	State     string `json:"state"`
	Why       string `json:"why,omitempty"`
}

// Inspect looks at the host for a configuration, and changes nothing; on the
// uplinks it asks for addresses that nobody has. It needs no privilege, but what
// takes one to see is left out without.
func Inspect(c *config.Config) (Inspection, error) {
	if _, err := rules.Compile(c.Rules); err != nil {
		return Inspection{}, err
	}
	if _, err := connect(c, Version{}); err != nil {
		return Inspection{}, err
	}
	w, err := hostwatch.Watch()
	if err != nil {
		return Inspection{}, err
	}
	defer w.Close()
	s := &supervisor{config: c, routes: w.Routes, judge: behind.New(w.Routes, behind.DefaultPolicy())}
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
		state, why := judge(link, ndp.NewInterface(link, u), u.Source)
		result.Uplinks = append(result.Uplinks, UplinkInspection{Interface: u.Interface, State: state.String(), Why: why})
	}
	s.judge.SetUplinks(indices)
	rs := s.discoverRules()
	result.Rules = len(rs)
	for _, u := range s.uplinks {
		at := u.site(rs)
		if at == nil {
			continue
		}
		at.host = hostwatch.ReadUplink(at.link)
		if chains, err := consume.IngressChains(u.config.Interface); err == nil && len(chains) > 0 && at.host.Ingress == "" {
			at.host.Ingress = "chains of nftables (" + strings.Join(chains, ", ") + ") look at frames"
		}
		result.Findings = append(result.Findings, at.inspect()...)
		f, found, err := at.findResponder()
		if err != nil {
			return Inspection{}, err
		}
		if found {
			result.Findings = append(result.Findings, f)
		}
	}
	return result, nil
}

// running returns what findings are about for the uplink of a running daemon. The
// kernel's errors count from its start on, and once unicast solicitations have
// come that they may be about.
func (u *uplink) running(rs []rules.Rule) *site {
	at := u.site(rs)
	if at != nil {
		at.errorsBefore = u.errorsBefore
		at.unprobed = u.counters.Received[ndp.Unicast].Load() == 0
	}
	return at
}

// site returns what findings are about, nil for an uplink that is waited for,
// which the state tells.
func (u *uplink) site(rs []rules.Rule) *site {
	if u.link.Index == 0 {
		return nil
	}
	return &site{
		uplink: u.config, link: u.link, routes: u.owner.routes, judge: u.owner.judge,
		onLink: u.onLink(u.owner.routes.HopsOf(u.link.Index).OnLink), claims: len(u.conflicts()),
		discovered: u.owner.config.DiscoverRules,
		rules:      slices.DeleteFunc(slices.Clone(rs), func(r rules.Rule) bool { return !r.Covers(u.config.Interface) }),
	}
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
