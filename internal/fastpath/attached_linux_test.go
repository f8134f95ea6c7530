// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestAttachedOf keeps what there is of a dump that was interrupted, and tells that it may not be
// all.
func TestAttachedOf(t *testing.T) {
	t.Parallel()
	ours := []netlink.Filter{&netlink.U32{}, &netlink.BpfFilter{Id: 7, Name: filterName}}
	for name, c := range map[string]struct {
		filters []netlink.Filter
		err     error
		found   int
		fails   bool
	}{
		"all":         {filters: ours, found: 1},
		"interrupted": {filters: ours, err: netlink.ErrDumpInterrupted, found: 1, fails: true},
		"no device":   {err: unix.ENODEV},
		"refused":     {err: unix.EPERM, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, err := attachedOf(c.filters, c.err)
			if len(all) != c.found || c.found > 0 && all[0].id != 7 {
				t.Errorf("found is %+v", all)
			}
			if (err != nil) != c.fails || c.fails && !errors.Is(err, c.err) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
