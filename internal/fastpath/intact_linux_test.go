// SPDX-License-Identifier: Apache-2.0

package fastpath

import "testing"

// TestRepairTakenOver leaves the maps alone that another responder has taken over, though
// they do not look any more as the earlier one has left them.
func TestRepairTakenOver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	old := s.listen(view(t, static("2001:db8:f1::/64")))
	r := s.listen(view(t, static("2001:db8:f2::/64")))
	for range 2 {
		if repaired, err := old.fast.program.repair(); repaired || err != nil {
			t.Errorf("the earlier one repairs: %v, %v", repaired, err)
		}
	}
	s.want("taken over", "2001:db8:f2::1", true)
	if repaired, err := r.fast.program.repair(); repaired || err != nil {
		t.Errorf("the next one repairs: %v, %v", repaired, err)
	}
	check(t, s.node.Do(old.Close))
	s.want("the earlier one closed", "2001:db8:f2::1", true)
	check(t, s.node.Do(r.Close))
}
