// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// TestIsForeign tells the daemon's own filters from those that may take its frames.
func TestIsForeign(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		filter netlink.Filter
		want   bool
	}{
		"our program":       {&netlink.BpfFilter{Name: "ndproxyd_tc"}, false},
		"Cilium's":          {&netlink.BpfFilter{Name: "cil_from_netdev-eth0"}, true},
		"without a name":    {&netlink.BpfFilter{}, true},
		"of another kind":   {&netlink.U32{}, true},
		"of a kind unknown": {&netlink.GenericFilter{FilterType: "new"}, true},
	} {
		if got := isForeign(tt.filter); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
