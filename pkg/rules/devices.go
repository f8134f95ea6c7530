// SPDX-License-Identifier: Apache-2.0

package rules

import "slices"

// DevicesChanged decides anew, after a device has got another name or is on another
// link: that changes no entry, but what it means to rules that name devices, to static
// ones, and to those with a file.
func (s *Store) DevicesChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Load() == nil || !slices.ContainsFunc(s.rules, func(r Rule) bool { return len(r.Devices) > 0 || r.Method == Static || r.Method == File }) {
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
	return device != 0 && slices.ContainsFunc(r.Devices, func(name string) bool { return s.index(name) == device })
}

// index returns the index of the device with that name, 0 for none.
func (s *Store) index(name string) int32 {
	if s.resolve == nil {
		return 0
	}
	return s.resolve(name)
}
