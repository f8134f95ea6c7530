// SPDX-License-Identifier: Apache-2.0

package inspect_test

import (
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
)

func TestUnicastErrors(t *testing.T) {
	t.Parallel()
	type sample struct {
		after            time.Duration // the sample before
		index            int
		errors, answered uint64
		want             uint64
	}
	minute := time.Minute
	tests := []struct {
		name    string
		samples []sample
	}{
		{"the host had sent errors before", []sample{{0, 2, 5000, 0, 0}, {minute, 2, 5000, 0, 0}}},
		{"a public host sends errors, and nobody solicits by unicast", []sample{{0, 2, 5000, 3, 0}, {minute, 2, 9000, 3, 0}, {minute, 2, 12000, 3, 0}}},
		{"answers without errors", []sample{{0, 2, 0, 0, 0}, {minute, 2, 0, 4, 0}, {minute, 2, 0, 9, 0}}},
		{"an error beside each answer", []sample{{0, 2, 100, 10, 0}, {minute, 2, 103, 13, 3}, {minute, 2, 105, 15, 5}}},
		{"no more errors than answers", []sample{{0, 2, 100, 10, 0}, {minute, 2, 1100, 12, 2}}},
		{"errors and answers in different minutes", []sample{{0, 2, 100, 10, 0}, {minute, 2, 150, 10, 0}, {minute, 2, 150, 30, 0}}},
		{"it ends by itself", []sample{{0, 2, 0, 0, 0}, {minute, 2, 3, 3, 3}, {5 * minute, 2, 3, 3, 3}, {4 * minute, 2, 3, 3, 3}, {minute, 2, 3, 3, 0}}},
		{"and part by part", []sample{{0, 2, 0, 0, 0}, {minute, 2, 3, 3, 3}, {5 * minute, 2, 4, 4, 4}, {5 * minute, 2, 4, 4, 1}, {5 * minute, 2, 4, 4, 0}}},
		{"many scrapes", []sample{{0, 2, 0, 0, 0}, {time.Second, 2, 1, 1, 1}, {time.Second, 2, 2, 2, 2}, {0, 2, 3, 3, 3}, {0, 2, 3, 3, 3}}},
		{"the device is created anew", []sample{{0, 2, 500, 10, 0}, {minute, 2, 503, 13, 3}, {minute, 7, 0, 13, 0}, {minute, 7, 2, 15, 2}}},
		{"the kernel's counter goes back", []sample{{0, 2, 500, 10, 0}, {minute, 2, 1, 12, 0}, {minute, 2, 2, 13, 1}}},
		{"a daemon that lost its counters", []sample{{0, 2, 500, 10, 0}, {minute, 2, 600, 0, 0}}},
		{"nobody scraped for an hour", []sample{{0, 2, 500, 10, 0}, {time.Hour, 2, 600, 90, 0}, {minute, 2, 601, 91, 1}}},
		{"the clock is set back", []sample{{0, 2, 0, 0, 0}, {minute, 2, 3, 3, 3}, {-time.Hour, 2, 9, 9, 0}, {minute, 2, 10, 10, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var u inspect.UnicastErrors
			now := time.Unix(1_700_000_000, 0)
			for i, s := range tt.samples {
				now = now.Add(s.after)
				if got := u.Observe(inspect.UnicastSample{At: now, Index: s.index, Errors: s.errors, Answered: s.answered}); got != s.want {
					t.Errorf("sample %d: %d errors, want %d", i, got, s.want)
				}
			}
		})
	}
}
