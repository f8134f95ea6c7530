// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"testing"
	"time"
)

// TestSieve adds an address, and others at other times, and looks whether the
// first one is still remembered.
func TestSieve(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		others []time.Duration // when, since the first one
		at     time.Duration
		want   bool
	}{
		{"at once", nil, 0, true},
		{"in the same turn", nil, sieveTurn - 1, true},
		{"in the next turn", []time.Duration{time.Second}, 2*sieveTurn - 1, true},
		{"two turns later", []time.Duration{time.Second, sieveTurn}, 2 * sieveTurn, false},
		{"after a silence", nil, 2 * sieveTurn, false},
		{"after a long silence", nil, time.Hour, false},
		{"after a silence and another", []time.Duration{time.Hour}, time.Hour, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s sieve
			began := time.Unix(0, 0)
			s.add(behind(1, 0), began)
			for i, at := range tt.others {
				s.add(behind(1, 1+i), began.Add(at))
			}
			if got := s.has(behind(1, 0), began.Add(tt.at)); got != tt.want {
				t.Errorf("remembered: %t", got)
			}
		})
	}
}
