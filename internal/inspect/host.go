// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/targets"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// StateOf tells in which state an uplink with such a link is, and in one sentence
// why it is not ready. It is the function by which the uplinks of a daemon do so.
type StateOf func(rules.Link, *ndp.Interface, rules.SourcePolicy) (uplink.State, string)

// system is where the facts about a host come from.
type system interface {
	Routes
	// From returns the judge of what arrives on an uplink, or, with a table, of that
	// table.
	From(uplink string, table uint32) Judge
	// Defaults returns the devices with an IPv6 default route.
	Defaults() []discover.DefaultDevice
	// Overview returns what discovery sees of the host, whose uplinks these are.
	Overview([]discover.Uplink) discover.Overview
	// Conditions returns the facts that the conditions of rules are about.
	Conditions([]rules.Rule) (discover.Conditions, error)
	// Link returns the zero Link where no interface has the name.
	Link(name string) (rules.Link, error)
	// Forwards reports whether the node forwards what arrives on the interface.
	Forwards(name string) bool
	// OnLink returns the prefixes that are routed to a device without next hop.
	OnLink(index int) []netip.Prefix
	// SetUplinks names the devices that do not lead behind the node, and tables that
	// rules name.
	SetUplinks(uplinks map[string]int, tables []uint32)
	// State returns what is configured on the link.
	State(rules.Link) hostwatch.UplinkState
	// Way reads what becomes of packets for the rules that hold on an uplink. The
	// caller calls the function when it has made its findings.
	Way(link rules.Link, holding []rules.Rule) (Way, func())
	// Entries yields what the kernel's routes say, and Device returns the index of
	// the device with a name, 0 for none.
	Entries() iter.Seq[rules.Entry]
	Device(name string) int32
	// Targets returns what is known of the files that rules name.
	Targets([]rules.Rule) []targets.File
	// ProxyMode asks kube-proxy for its mode.
	ProxyMode() string
	// Open opens a packet socket on the link.
	Open(index int) (packetLink, error)
}

// inspect looks at a host for a configuration, beside a daemon with these uplinks.
func inspect(c *config.Config, s system, stateOf StateOf, daemon []status.Uplink) (Inspection, error) {
	if _, err := rules.Compile(discover.Fixed(c.Rules)); err != nil {
		return Inspection{}, err
	}
	defaults := s.Defaults()
	result := Inspection{Uplinks: []UplinkInspection{}, Findings: []Finding{}}
	configs := discover.Uplinks(c, defaults, nil)
	var (
		uplinks []discover.Uplink
		indices = make(map[string]int)
	)
	for _, u := range configs {
		link, err := s.Link(u.Interface)
		if err != nil {
			return Inspection{}, err
		}
		state, why := stateOf(link, ndp.NewInterface(link, u), u.Source)
		result.Uplinks = append(result.Uplinks, UplinkInspection{Interface: u.Interface, State: state.String(), Why: why})
		uplinks = append(uplinks, discover.Uplink{Interface: u.Interface, Link: link, Forwards: s.Forwards(u.Interface), OnLinkRoutes: s.OnLink(link.Index)})
		if link.Index != 0 {
			indices[u.Interface] = link.Index
		}
	}
	s.SetUplinks(indices, rules.TablesOf(c.Rules))
	for i, u := range uplinks {
		if !u.Forwards {
			uplinks[i].Own = s.From(u.Interface, 0).Own(rules.OnLink(u.Link, u.OnLinkRoutes))
		}
	}
	conditions, err := s.Conditions(c.Rules)
	if err != nil {
		return Inspection{}, err
	}
	rs := discover.Hold(discover.Rules(c, uplinks, nil), conditions)
	result.Rules = len(rs)
	result.RuleStates = RuleStates(c, uplinks, conditions)
	store, err := evidence(rs, s, uplinks)
	if err != nil {
		return Inspection{}, err
	}
	templates := make(map[string][]discover.Expansion)
	for _, x := range discover.Expand(c, uplinks) {
		templates[x.Interface] = append(templates[x.Interface], x)
	}
	overview := s.Overview(uplinks)
	suggested := discover.Suggest(c, overview)
	gaps := make(map[string]string)
	for _, g := range discover.Gaps(c, uplinks) {
		gaps[g.Interface] = g.Why
	}
	proxyMode := ""
	if c.Kubernetes != nil && slices.ContainsFunc(rs, func(r rules.Rule) bool { return r.TakesServices() }) {
		proxyMode = s.ProxyMode()
	}
	for i, u := range uplinks {
		at := Uplink{
			Config: configs[i], Link: u.Link, Forwards: u.Forwards, OnLink: rules.OnLink(u.Link, u.OnLinkRoutes),
			Rules: Holding(rs, u.Interface), Discovered: c.DiscoverRules, Gap: gaps[u.Interface],
			Suggested: suggested, Templates: templates[u.Interface],
			Behind: s.From(u.Interface, 0), Table: func(table uint32) Judge { return s.From(u.Interface, table) }, Routes: s,
			ProxyMode: proxyMode, FastPath: fastPathOf(daemon, u.Interface),
		}
		done := func() {}
		if u.Link.Index != 0 {
			at.Host, at.Decide = s.State(u.Link), decider(store, u.Link, configs[i])
			at.Way, done = s.Way(u.Link, at.Rules)
		}
		result.Findings = append(result.Findings, Findings(at)...)
		done()
		found, err := findResponder(at, s.Open)
		if err != nil {
			return Inspection{}, err
		}
		result.Findings = append(result.Findings, found...)
	}
	result.Findings = append(result.Findings, Targets(s.Targets(rs))...)
	result.Findings = append(result.Findings, nothing(c, result, overview, suggested)...)
	left := notCovered(c, result, suggested)
	result.Findings = append(result.Findings, left...)
	if result.Rules == 0 || len(left) > 0 {
		result.Seen = overview.Lines()
	}
	return result, nil
}

// fastPathOf returns which way a daemon answers on an uplink, nil where it does not.
func fastPathOf(daemon []status.Uplink, name string) *status.FastPath {
	i := slices.IndexFunc(daemon, func(u status.Uplink) bool { return u.Interface == name })
	if i < 0 {
		return nil
	}
	return daemon[i].FastPath
}

// evidence returns a store of the rules with what the kernel's routes say, and with the
// on-link prefixes of the uplinks.
func evidence(rs []rules.Rule, s system, uplinks []discover.Uplink) (*rules.Store, error) {
	store := new(rules.Store)
	store.ResolveDevices(s.Device)
	if err := store.SetRules(rs); err != nil {
		return nil, err
	}
	store.Replace(rules.Kernel, s.Entries())
	for _, u := range uplinks {
		store.SetOnLink(u.Interface, rules.OnLink(u.Link, u.OnLinkRoutes))
	}
	return store, nil
}

// decider returns what tells the fate of solicitations on an uplink. For rules of a
// cluster only a daemon knows it.
func decider(store *rules.Store, link rules.Link, c rules.Uplink) func(netip.Addr) (ndp.Reason, bool) {
	table := store.Load()
	iface, view := ndp.NewInterface(link, c), table.View(c.Interface)
	return func(a netip.Addr) (ndp.Reason, bool) {
		v, reason := ndp.Decide(a, iface, view)
		return reason, v == nil || !table.Rules()[v.Rule].Method.Clustered()
	}
}

// nothing returns the finding of a host on which nothing would be answered for a
// reason that no uplink has told yet.
func nothing(c *config.Config, i Inspection, o discover.Overview, s discover.Suggestion) []Finding {
	const effect = "nothing is answered"
	switch {
	case len(i.Uplinks) == 0:
		return []Finding{{
			Reason: reasonNoUplink, Severity: Warning, Problem: "there is no uplink: " + o.NoUplink(), Effect: effect,
			Remedy: noUplinkRemedy(o, s), Config: s.YAML(),
		}}
	case len(c.Rules) == 0 && c.FromNDPPD():
		return []Finding{{
			Reason: reasonNoRules, Severity: Warning, Problem: "there is no rule: no proxy section of the ndppd.conf has one that counts", Effect: effect,
			Remedy: `write one into a proxy section, such as "rule 2001:db8:1::/64 { auto }"; or start without the file: rules are then discovered from the on-link prefixes of the uplinks`, Config: s.YAML(),
		}}
	case len(c.Rules) == 0 && !c.DiscoverRules:
		return []Finding{{
			Reason: reasonNoRules, Severity: Warning, Problem: "there is no rule: the configuration's list is empty", Effect: effect,
			Remedy: "add rules, or leave the list out: rules are then discovered from the on-link prefixes of the uplinks", Config: s.YAML(),
		}}
	case i.Rules == 0 && len(i.Findings) == 0:
		var states []string
		for _, u := range i.Uplinks {
			states = append(states, u.Interface+" is "+u.State)
		}
		return []Finding{{
			Reason: reasonNoRules, Severity: Warning, Problem: "there is no rule: rules are discovered from the on-link prefixes of the uplinks, and " + strings.Join(states, ", "), Effect: effect,
			Remedy: "correct the uplinks, or add rules to the configuration", Config: s.YAML(),
		}}
	}
	return nil
}
