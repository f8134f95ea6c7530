// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/gaissmai/bart"
)

// Verdict is the standing decision for the addresses of one prefix.
type Verdict struct {
	// Answer is true when a solicitation is answered, false for deny.
	Answer bool
	// IgnoreDAD is [Rule.IgnoreDAD] of the deciding rule.
	IgnoreDAD bool
	// Delay is [Rule.Delay] of the deciding rule.
	Delay time.Duration
	// Rule is the index of the deciding rule in [Table.Rules].
	Rule int32
}

// Decision is a Verdict with the prefix that it stands for.
type Decision struct {
	Prefix  netip.Prefix
	Verdict Verdict
}

// Table is a set of rules compiled for lookup. It never changes.
type Table struct {
	rules  []Rule
	common *View            // what holds on an uplink that no rule names
	named  map[string]*View // uplinks that a rule names
}

// View is the part of a Table that holds on one uplink. It never changes.
type View struct {
	decisions bart.Fast[Verdict]
}

// Compile checks the rules and builds their table. Two rules with the same
// prefix on the same uplink are an error, as neither is more specific.
func Compile(rules []Rule) (*Table, error) {
	t := &Table{rules: rules, named: make(map[string]*View)}
	for i, r := range rules {
		if err := r.Validate(); err != nil {
			return nil, fmt.Errorf("compile rule %d (%s): %w", i, r, err)
		}
		for _, name := range r.Uplinks {
			t.named[name] = nil
		}
	}
	var err error
	if t.common, err = t.view(""); err != nil {
		return nil, err
	}
	for name := range t.named {
		if t.named[name], err = t.view(name); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Table) view(uplink string) (*View, error) {
	v := new(View)
	for i, r := range t.rules {
		if !r.Covers(uplink) {
			continue
		}
		if other, ok := v.decisions.Get(r.Prefix); ok {
			return nil, fmt.Errorf("compile rule %d (%s): rule %d has the same prefix", i, r, other.Rule)
		}
		v.decisions.Insert(r.Prefix, Verdict{
			Answer:    r.Method == Static,
			IgnoreDAD: r.IgnoreDAD,
			Delay:     r.Delay,
			Rule:      int32(i),
		})
	}
	return v, nil
}

// Rules returns the rules in the order they were given. Do not change them.
func (t *Table) Rules() []Rule { return t.rules }

// View returns what holds on the uplink of that name.
func (t *Table) View(uplink string) *View {
	if v, ok := t.named[uplink]; ok {
		return v
	}
	return t.common
}

// Lookup returns the verdict of the most specific rule that covers the target,
// and false when none does.
func (v *View) Lookup(target netip.Addr) (Verdict, bool) {
	return v.decisions.Lookup(target)
}

// Decisions yields every prefix with its verdict, in no particular order.
func (v *View) Decisions() iter.Seq2[netip.Prefix, Verdict] {
	return v.decisions.All6()
}

// Diff returns what has to be added to and removed from before to get to after.
// A decision whose verdict changed is in both. A nil view is an empty one.
func Diff(before, after *View) (added, removed []Decision) {
	return missing(after, before), missing(before, after)
}

// missing returns the decisions of v that are not in other as they are in v.
func missing(v, other *View) []Decision {
	if v == nil || v == other {
		return nil
	}
	var ds []Decision
	for p, verdict := range v.Decisions() {
		if other != nil {
			if o, ok := other.decisions.Get(p); ok && o.sameEffect(verdict) {
				continue
			}
		}
		ds = append(ds, Decision{Prefix: p, Verdict: verdict})
	}
	return ds
}

// sameEffect ignores the rule's index, which moves when a file is edited.
func (v Verdict) sameEffect(o Verdict) bool {
	v.Rule, o.Rule = 0, 0
	return v == o
}
