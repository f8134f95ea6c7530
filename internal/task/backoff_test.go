// SPDX-License-Identifier: Apache-2.0

package task_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/task"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	var b task.Backoff
	var got []time.Duration
	for range 7 {
		got = append(got, b.Next())
	}
	ms := time.Millisecond
	if want := []time.Duration{250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 5000 * ms, 5000 * ms}; !slices.Equal(got, want) {
		t.Errorf("waits are %s", got)
	}
	b.Reset()
	if b.Next() != 250*ms {
		t.Error("a reset does not begin anew")
	}
}
