// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"iter"
	"net/netip"

	"github.com/gaissmai/bart"
)

// Table is a snapshot of all decisions, compiled for lookup. It never changes.
type Table struct {
	rules   []Rule
	entries [sourceCount]int
	common  *View                     // for uplinks without a view of their own
	named   map[string]*View          // for uplinks that rules name, or that have guards or on-link prefixes
	onLink  map[string][]netip.Prefix // by uplink
	probes  bool
}

// View is the part of a Table for one uplink. It never changes.
type View struct {
	decisions *bart.Fast[*Verdict]
	hears     []netip.Prefix
	rules     *bart.Table[int32] // identifies what it was made of, see SameRules
}

// Compile validates the rules and compiles their table without any entries.
func Compile(rules []Rule) (*Table, error) {
	var s Store
	if err := s.SetRules(rules); err != nil {
		return nil, err
	}
	return s.Load(), nil
}

// Rules returns the rules in the order they were given. Do not change them.
func (t *Table) Rules() []Rule { return t.rules }

// Entries returns how many entries of a source there are.
func (t *Table) Entries(s Source) int { return t.entries[s] }

// Probes reports whether any target has to be asked first, by a rule or because of a
// contested route. While there is none, nobody has to listen for answers.
func (t *Table) Probes() bool { return t != nil && t.probes }

// View returns the view for the uplink of that name; nil for a nil table.
func (t *Table) View(uplink string) *View {
	if t == nil {
		return nil
	}
	if v, ok := t.named[uplink]; ok {
		return v
	}
	return t.common
}

// Find returns the verdict for the target, or nil if no rule covers it. Callers must
// not change it.
func (v *View) Find(target netip.Addr) *Verdict {
	found, _ := v.decisions.Lookup(target)
	return found
}

// Lookup returns the prefix whose line decides for the target, and its verdict; or
// false if no rule covers the target.
func (v *View) Lookup(target netip.Addr) (Decision, bool) {
	p, verdict, ok := v.decisions.LookupPrefixLPM(netip.PrefixFrom(target, target.BitLen()))
	if !ok {
		return Decision{}, false
	}
	return Decision{Prefix: p, Verdict: *verdict}, true
}

func (v *View) get(p netip.Prefix) (Verdict, bool) {
	if v == nil {
		return Verdict{}, false
	}
	found, ok := v.decisions.Get(p)
	if !ok {
		return Verdict{}, false
	}
	return *found, true
}

// Line returns the verdict of the line for exactly that prefix, and false if the view has
// none.
func (v *View) Line(p netip.Prefix) (Verdict, bool) { return v.get(p) }

// SameRules reports whether the views differ in evidence at most, and not because rules
// were set anew. A nil view has no rules.
func (v *View) SameRules(o *View) bool {
	if v == nil || o == nil {
		return v == o
	}
	return v.rules == o.rules
}

// Decisions yields every prefix with its verdict, in no particular order.
func (v *View) Decisions() iter.Seq2[netip.Prefix, Verdict] {
	return func(yield func(netip.Prefix, Verdict) bool) {
		if v == nil {
			return
		}
		for p, verdict := range v.decisions.All6() {
			if !yield(p, *verdict) {
				return
			}
		}
	}
}

// Hears returns the prefixes of the rules that can lead to an answer, sorted, and
// without those that another one covers. It depends on the rules alone.
func (v *View) Hears() []netip.Prefix {
	if v == nil {
		return nil
	}
	return v.hears
}
