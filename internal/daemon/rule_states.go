// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// ruleStates returns what the rules that follow the uplinks come to at present.
func (d *daemon) ruleStates() []status.RuleState {
	cfg := d.reconciler.config.Load()
	return inspect.RuleStates(cfg, d.discoverable(), d.conditions(cfg))
}

// conditions returns the facts that the conditions of rules are about. A fact that
// cannot be read counts as absent: two hosts that answer for one address are worse
// than none for a moment.
func (d *daemon) conditions(cfg *config.Config) discover.Conditions {
	c, err := inspect.Conditions(d.routes, cfg.Rules)
	d.trouble.Report("conditions of rules", err)
	return c
}

// standby says what the rule that decides for an address waits for.
func (d *daemon) standby(r rules.Rule) string {
	return "the rule holds only while " + r.While.String() + ": " + d.conditions(d.reconciler.config.Load()).Unmet(r.While)
}

// rule shows a rule in force with its place in the configuration. index is the one in
// the table.
func (d *daemon) rule(index int, r rules.Rule, states []status.RuleState) *status.Rule {
	shown := &status.Rule{Index: index, Prefix: r.Prefix.String(), Method: r.Method.String(), Template: r.Template.String()}
	if i := discover.Written(d.reconciler.config.Load(), r); i >= 0 {
		shown.Index = i
	} else {
		shown.Discovered = true
	}
	if r.TakesServices() {
		shown.Kinds = r.Kinds.String()
	}
	for _, s := range states {
		if s.Index == shown.Index && !r.Template.IsZero() {
			shown.Deprecated = slices.ContainsFunc(s.Prefixes, func(p status.RulePrefix) bool {
				return p.Prefix == r.Prefix && p.Interface == r.Uplinks[0] && p.Deprecated
			})
		}
	}
	return shown
}

// waits lists the rules that may cover an address which no rule in force covers: those
// that wait for a prefix of an uplink, with the reason.
func (d *daemon) waits(states []status.RuleState) []string {
	written := d.reconciler.config.Load().Rules
	var all []string
	for _, s := range states {
		if s.Index >= len(written) || written[s.Index].Template.IsZero() || len(s.Prefixes) > 0 {
			continue
		}
		for _, w := range s.Waits {
			all = append(all, s.Rule+": "+w)
		}
	}
	return all
}

// logRules logs what each rule comes to that follows the uplinks, when that changes.
// Nothing is logged before the uplinks have read their interfaces.
func (r *reconciler) logRules(states []status.RuleState) {
	if !r.complete.Load() {
		return
	}
	now := make(map[int]string, len(states))
	for _, s := range states {
		if now[s.Index] = strings.Join(s.Lines(), "; "); now[s.Index] != r.states[s.Index] {
			r.d.log.Info("rule has changed", "rule", s.Rule, "index", s.Index, "now", now[s.Index])
		}
	}
	r.states = now
}
