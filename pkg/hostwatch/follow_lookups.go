// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"fmt"
	"net/netip"
	"slices"
)

// plainRule is a rule for every packet.
func plainRule(priority, table uint32) policyRule {
	return policyRule{
		priority: priority, action: actionTable, table: table, suppress: -1, group: -1,
		text: fmt.Sprintf("%d: lookup %d", priority, table),
	}
}

// Lookups are what the policy rules make of the origins that are followed.
type Lookups struct {
	// Of has the index of each origin's lookup, for [Tables.Of]. Origins for which
	// the kernel asks the same tables have the same. That of the first origin is 0.
	Of []int
	// Count is how many there are, 1 at the least.
	Count int
	// Version is another one after each change.
	Version uint64
}

// Follow names the origins of which changes are told: those of [Routes.Apply] and
// [Handler.Routes] are for these. It reports whether the lookups have changed by it,
// so that any decision may be another. Without origins it is what the rules make of a
// device that no rule selects.
func (r *Routes) Follow(origins []Origin) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(r.origins, origins) {
		return false
	}
	r.origins = slices.Clone(origins)
	return r.resolve()
}

// Lookups returns the lookups of this moment.
func (t Tables) Lookups() Lookups {
	return Lookups{Of: t.r.lookupOf, Count: len(t.r.lookups), Version: t.r.version}
}

// setPolicy takes over the policy rules.
func (r *Routes) setPolicy(policy []policyRule) {
	r.policy = policy
	r.resolve()
}

// resolve makes the lookups anew, and reports whether they differ from the last ones.
func (r *Routes) resolve() (changed bool) {
	origins := r.origins
	if len(origins) == 0 {
		origins = []Origin{{}}
	}
	var (
		lookups []Lookup
		of      = make([]int, len(origins))
		unsure  []string
	)
	for i, o := range origins {
		l, open := r.lookup(o)
		for j := range l {
			if l[j].table != nil {
				l[j].table = r.table(l[j].id)
			}
		}
		at := slices.IndexFunc(lookups, l.same)
		if at < 0 {
			at = len(lookups)
			lookups = append(lookups, l)
		}
		of[i] = at
		for _, text := range open {
			if !slices.Contains(unsure, text) {
				unsure = append(unsure, text)
			}
		}
	}
	changed = !slices.Equal(of, r.lookupOf) || !slices.EqualFunc(lookups, r.lookups, Lookup.same)
	if changed {
		r.version++
	}
	r.lookups, r.lookupOf, r.unsure = lookups, of, unsure
	return changed
}

// affected returns the prefixes that a change of a table's route may decide
// otherwise, nil where no lookup asks the table.
func (r *Routes) affected(id uint32, p netip.Prefix) []netip.Prefix {
	var changed []netip.Prefix
	for _, l := range r.lookups {
		if !l.asks(id) {
			continue
		}
		if changed == nil {
			changed = []netip.Prefix{p}
		}
		changed = l.affected(id, p, changed)
	}
	if len(r.lookups) > 1 && len(changed) > 1 {
		slices.SortFunc(changed, netip.Prefix.Compare)
		changed = slices.Compact(changed)
	}
	return changed
}

// Policy returns the policy rules that may apply to packets of the origins and are not
// followed, as "ip -6 rule" shows them.
func (r *Routes) Policy() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.unsure
}
