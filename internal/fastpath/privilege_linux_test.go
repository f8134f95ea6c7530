// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
)

// TestLeastPrivilege loads the program with the capabilities that documentation and packages
// name. With CAP_PERFMON the verifier would take more, and a daemon could read what it likes
// of the kernel's memory.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]bool{"tc": true, "xdp": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := make(chan error)
			go func() {
				runtime.LockOSThread() // capabilities are the thread's, which ends with this
				header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
				var data [2]unix.CapUserData
				data[unix.CAP_NET_ADMIN/32].Effective |= 1 << (unix.CAP_NET_ADMIN % 32)
				data[unix.CAP_BPF/32].Effective |= 1 << (unix.CAP_BPF % 32)
				for i := range data {
					data[i].Permitted = data[i].Effective
				}
				if err := unix.Capset(&header, &data[0]); err != nil {
					result <- err
					return
				}
				p, err := fastpath.Load(tc)
				if err == nil {
					err = p.Close()
				}
				result <- err
			}()
			if err := <-result; err != nil {
				t.Errorf("%+v", err)
			}
		})
	}
}
