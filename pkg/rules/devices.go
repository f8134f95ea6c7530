// SPDX-License-Identifier: Apache-2.0

package rules

import "slices"

// DevicesChanged decides anew for rules that name devices, after a device has got
// another name: that changes no entry.
func (s *Store) DevicesChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Load() == nil || !slices.ContainsFunc(s.rules, func(r Rule) bool { return len(r.Devices) > 0 }) {
		return
	}
	c := Change{deltas: make(map[string][]Delta, len(s.builders))}
	changed := false
	for name, b := range s.builders {
		before := b.view
		c.deltas[name] = b.update(s, b.all(s))
		changed = changed || b.view != before
	}
	if changed {
		s.publish(c)
	}
}

// names reports whether a rule names the device of that index.
func (s *Store) names(r *Rule, device int32) bool {
	return slices.ContainsFunc(r.Devices, func(name string) bool { return s.resolve != nil && s.resolve(name) == device })
}
