// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// File is what is known of a file of targets.
type File struct {
	Path string
	// Targets are how many a rule answers for. Held are those of them that the file does
	// not list any more: it may be incomplete, and they go if it stays so.
	Targets, Held int
	// Wrong are how many lines name no target, and Outside how many name one that no
	// rule with this file covers. Faults are the first of both, in their order.
	Wrong, Outside int
	Faults         []Fault
	// Err is why the file cannot be read, nil where it can. Remedy is what to do.
	Err    error
	Remedy string
	// Hidden is what keeps the service of the packages from reading the file, "" for
	// nothing. Only [Check] looks for it.
	Hidden string
}

// Summary is one line about what is wrong with a file, "" for nothing.
func (f File) Summary() string {
	switch {
	case f.Err != nil:
		return f.Err.Error()
	case len(f.Faults) == 0:
		return ""
	}
	first := f.Faults[0]
	s := fmt.Sprintf("%s:%d: %s", f.Path, first.Line, first.Text)
	if more := f.Wrong + f.Outside - 1; more > 0 {
		s += fmt.Sprintf(" (and %d more)", more)
	}
	return s
}

// facts returns what is known of a file, for rules with these prefixes.
func (f *file) facts(path string, prefixes []netip.Prefix, now time.Time) File {
	facts := File{Path: path, Wrong: f.latest.Wrong, Faults: f.faults(now)}
	facts.Targets = len(f.force) - len(outside(f.force, prefixes))
	if f.err != nil {
		return File{Path: path, Targets: facts.Targets, Err: f.err, Remedy: remedy(path, f.err)}
	}
	facts.Wrong += len(facts.Faults) - len(f.latest.Faults) // the last line
	listed := f.latest.targets
	if f.settled(now) {
		listed = f.listed()
	}
	compare(f.force, listed, func(target) { facts.Held++ }, func(target) {}, func(target) {})
	outside := outside(listed, prefixes)
	facts.Outside = len(outside)
	for _, t := range outside[:min(len(outside), maxFaults)] {
		facts.Faults = append(facts.Faults[:len(facts.Faults):len(facts.Faults)], Fault{int(t.line), outsideText(t.prefix(), prefixes)})
	}
	slices.SortStableFunc(facts.Faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	facts.Faults = facts.Faults[:min(len(facts.Faults), maxFaults)]
	return facts
}

// outside returns the targets that none of the rules covers, in their order in the
// file.
func outside(l list, prefixes []netip.Prefix) []target {
	covering := outermost(prefixes)
	var out []target
	for _, t := range l {
		p := t.prefix()
		i, found := slices.BinarySearchFunc(covering, p.Addr(), func(c netip.Prefix, a netip.Addr) int { return c.Addr().Compare(a) })
		if !found {
			i-- // the last one that begins before it
		}
		if i < 0 || covering[i].Bits() > p.Bits() || !covering[i].Contains(p.Addr()) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b target) int { return cmp.Compare(a.line, b.line) })
	return out
}

// outermost returns the prefixes that no other one covers, in their order.
func outermost(prefixes []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range slices.SortedFunc(slices.Values(prefixes), netip.Prefix.Compare) {
		if len(out) == 0 || !out[len(out)-1].Contains(p.Addr()) {
			out = append(out, p)
		}
	}
	return out
}

// outsideText says why a target counts for no rule.
func outsideText(p netip.Prefix, prefixes []netip.Prefix) string {
	name := p.String()
	if p.IsSingleIP() {
		name = p.Addr().String()
	}
	for _, r := range prefixes {
		if p.Bits() < r.Bits() && p.Contains(r.Addr()) {
			return fmt.Sprintf("%s covers more than the rule for %s: write %s if all of that is meant", name, r, r)
		}
	}
	return fmt.Sprintf("%s is outside of %s, which the rules with this file cover: correct the line, or add a rule with this file", name, few(prefixes))
}

// few lists prefixes for people, the first of many.
func few(prefixes []netip.Prefix) string {
	const most = 3
	var names []string
	for _, p := range prefixes[:min(len(prefixes), most)] {
		names = append(names, p.String())
	}
	if n := len(prefixes) - most; n > 0 {
		names = append(names, fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}
