// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// resolveOverlaps brings rules that overlap into the form that the most specific one
// decides: static wins for whatever it covers, and of two rules with one prefix
// one stays.
func (r *ndppdReader) resolveOverlaps() {
	byName := make(map[string]*ndppdRules)
	for i, p := range r.proxies {
		name := p.uplink.Interface
		if byName[name] == nil {
			byName[name] = &ndppdRules{static: make(map[netip.Prefix]*ndppdRuleSection), other: make(map[netip.Prefix]*ndppdRuleSection)}
		} else {
			r.diagnostics.warn(p.entry.start, deviation, "the sections of %s count together; ndppd 0.2.5 takes the last one alone", name)
		}
		if i > 0 && name != r.proxies[0].uplink.Interface && slices.ContainsFunc(p.rules, func(s *ndppdRuleSection) bool { return s.rule.Method == rules.Route && !s.drop }) {
			r.diagnostics.warn(p.entry.start, deviation, "the interfaces of all proxies are uplinks: auto does not answer on one for what is routed to another")
		}
		for _, s := range p.rules {
			r.enter(byName[name], s)
		}
	}
	usable := false
	for _, p := range r.proxies {
		for _, s := range p.rules {
			r.overlap(byName[p.uplink.Interface], s)
			usable = usable || !s.drop
		}
	}
	if !usable && !r.diagnostics.fatal() {
		r.diagnostics.warn(0, quirkEmpty, `the file holds no rule that could answer for an address: write one into a proxy section, such as "rule 2001:db8:1::/64 { auto }"`)
	}
}

// ndppdRules are the rules of one interface by prefix.
type ndppdRules struct {
	static, other map[netip.Prefix]*ndppdRuleSection
}

// enter takes a rule in, or puts it together with one of the same prefix.
func (r *ndppdReader) enter(all *ndppdRules, s *ndppdRuleSection) {
	if s.drop {
		return
	}
	same := all.other
	if s.rule.Method == rules.Static {
		same = all.static
	}
	first := same[s.rule.Prefix]
	switch {
	case first == nil:
		same[s.rule.Prefix] = s
	case first.rule.Method == s.rule.Method:
		r.merge(first, s, r.line(first))
	default:
		r.diagnostics.warn(s.entry.start, deviation, "the rule on line %d has the same prefix, and counts alone; ndppd would ask on the devices of both", r.line(first))
		s.drop = true
	}
}

// overlap looks at the wider rules around a rule that asks.
func (r *ndppdReader) overlap(all *ndppdRules, s *ndppdRuleSection) {
	if s.drop || s.rule.Method == rules.Static {
		return
	}
	var around *ndppdRuleSection
	for bits := range s.rule.Prefix.Bits() + 1 {
		wider, _ := s.rule.Prefix.Addr().Prefix(bits)
		if o := all.static[wider]; o != nil {
			r.diagnostics.warn(s.entry.start, deviation, "the static rule on line %d answers for all of these addresses, so this one has no effect", r.line(o))
			s.drop = true
			return
		}
		if o := all.other[wider]; o != nil && o != s {
			around = o
		}
	}
	if around != nil {
		r.diagnostics.warn(s.entry.start, deviation, "this rule counts alone inside of that on line %d; ndppd would ask on the devices of both", r.line(around))
	}
}

// line returns the line of a rule.
func (r *ndppdReader) line(s *ndppdRuleSection) int {
	line, _ := r.place(s.entry.start)
	return line
}

// merge puts the devices of two rules together.
func (r *ndppdReader) merge(into, s *ndppdRuleSection, line int) {
	for _, d := range s.rule.Devices {
		if !slices.Contains(into.rule.Devices, d) {
			into.rule.Devices = append(into.rule.Devices, d)
		}
	}
	r.diagnostics.warn(s.entry.start, deviation, "goes together with the rule on line %d, which has the same prefix", line)
	s.drop = true
}
