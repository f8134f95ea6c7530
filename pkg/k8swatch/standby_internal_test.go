// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"testing"
	"time"
)

// TestJoinWait counts how many of the nodes of a cluster come forward within a time,
// if all are free to.
func TestJoinWait(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{51, 500, 5_000, 50_000} {
		within := make(map[time.Duration]int) // seconds, rounded up
		for i := range nodes {
			within[joinWait(nodes, float64(i)/float64(nodes)).Truncate(time.Second)]++
		}
		// Few at first, of whom some find a seat, and twice as many each second after.
		if first := within[0]; first > joinFirst {
			t.Errorf("%d nodes: %d in the first second", nodes, first)
		}
		for s, n := range within {
			if s > 10*time.Second {
				t.Errorf("%d nodes: %d wait %s", nodes, n, s)
			}
			if next := within[s+time.Second]; next > 2*n+2 { // whole nodes
				t.Errorf("%d nodes: %d after %s, and %d a second later", nodes, n, s, next)
			}
		}
	}
}
