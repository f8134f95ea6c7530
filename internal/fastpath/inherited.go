// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"iter"
	"maps"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// inherited are the answered lines that an earlier daemon has left, and of which this one
// has no evidence yet: while its evidence comes in, they stay as they are. So do the silent
// ones inside of them, or else what the earlier daemon left out of a prefix would be
// answered. What the rules do not allow is never among them. A nil *inherited holds nothing.
// Like its table it is not safe for concurrent use.
type inherited struct {
	lines  map[netip.Prefix]line
	silent int // how many of them are
}

// inherit returns those of the lines of an earlier daemon that stay until there is
// evidence, by the first view of this one.
func inherit(lines map[netip.Prefix]line, view *rules.View) *inherited {
	i := &inherited{lines: make(map[netip.Prefix]line)}
	if view == nil {
		return i
	}
	silent := make(map[netip.Prefix]line)
	var lengths [129]bool // of answered lines
	for p, l := range lines {
		v, ok := around(view, p)
		switch {
		case !ok || !lacksEvidence(v):
		case l&lineAnswer == 0 || l&lineShared != 0: // a service address may be another node's by now
			v.Answer, v.Service = false, false
			silent[p] = lineOf(p, v)
		default:
			i.lines[p], lengths[p.Bits()] = l, true
		}
	}
	for p, l := range silent {
		if i.answersAround(p, &lengths) {
			i.lines[p] = l
			i.silent++
		}
	}
	return i
}

// answersAround reports whether there is an answered line, which have those lengths, that is
// wider than a prefix and has it inside.
func (i *inherited) answersAround(p netip.Prefix, lengths *[129]bool) bool {
	for bits := range p.Bits() {
		if lengths[bits] && i.lines[netip.PrefixFrom(p.Addr(), bits).Masked()]&lineAnswer != 0 {
			return true
		}
	}
	return false
}

// around returns the verdict that decides for what of a prefix has no line of its own.
func around(view *rules.View, p netip.Prefix) (rules.Verdict, bool) {
	d, ok := view.Lookup(p.Addr())
	for bits := p.Bits(); ok && d.Prefix.Bits() > p.Bits() && bits >= 0; bits-- { // rare: the first address has its own
		if v, is := view.Line(netip.PrefixFrom(p.Addr(), bits).Masked()); is {
			return v, true
		}
	}
	return d.Verdict, ok && d.Prefix.Bits() <= p.Bits()
}

// lacksEvidence reports whether a verdict is silent for a reason that evidence may end
// which comes in after the start.
func lacksEvidence(v rules.Verdict) bool {
	if v.Answer || v.Probe {
		return false
	}
	switch v.Silence {
	case rules.NoRoute, rules.NotLocal, rules.NotListed:
		return true
	default:
		return false
	}
}

// count returns how many answered lines stay.
func (i *inherited) count() int {
	if i == nil {
		return 0
	}
	return len(i.lines) - i.silent
}

// keeps reports whether the line of a prefix stays as the earlier daemon has left it.
func (i *inherited) keeps(p netip.Prefix) bool {
	if i == nil {
		return false
	}
	_, ok := i.lines[p]
	return ok
}

// take drops the line of a prefix if a verdict decides on it, and returns the line that
// stays in place of the verdict's own otherwise.
func (i *inherited) take(p netip.Prefix, v rules.Verdict) (line, bool) {
	if i == nil {
		return 0, false
	}
	l, ok := i.lines[p]
	if ok && !isNone(v) && !lacksEvidence(v) {
		i.silent -= one(l&lineAnswer == 0)
		delete(i.lines, p)
		ok = false
	}
	return l, ok
}

// all yields the lines that stay.
func (i *inherited) all() iter.Seq2[netip.Prefix, line] {
	if i == nil {
		return func(func(netip.Prefix, line) bool) {}
	}
	return maps.All(i.lines)
}

// keepCovered drops what the rules of another view do not allow any more.
func (i *inherited) keepCovered(view *rules.View) {
	if i == nil {
		return
	}
	maps.DeleteFunc(i.lines, func(p netip.Prefix, l line) bool {
		v, ok := around(view, p)
		if ok && lacksEvidence(v) {
			return false
		}
		i.silent -= one(l&lineAnswer == 0)
		return true
	})
}
