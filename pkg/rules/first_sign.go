// SPDX-License-Identifier: Apache-2.0

package rules

import "time"

// HoldFirstSigns has routes of single addresses that appear after a time count for the
// methods Pods and Node only where the cluster says so as well, or all of them count
// again. Without it such a route is the first sign of a pod.
func (s *Store) HoldFirstSigns(hold bool, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.holdSince
	if s.holdSince = 0; hold {
		s.holdSince = since.Unix()
	}
	if s.holdSince == before || s.current.Load() == nil { // SetRules will use it
		return
	}
	c := Change{deltas: make(map[string][]Delta, len(s.builders))}
	for name, b := range s.builders {
		c.deltas[name] = b.update(s, b.all(s))
	}
	s.publish(c)
}

// held reports whether a route is no sign of a pod by itself.
func (s *Store) held(route fact) bool { return s.holdSince != 0 && route.since >= s.holdSince }
