// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// newEnough returns an error where the kernel is older than the program's helper functions.
// Without it the error would be about whatever such a kernel refuses first: before 5.11 it
// also wants RLIMIT_MEMLOCK raised, which would not help.
func newEnough() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return lasting{fmt.Errorf("read the kernel's release: %w", err)}
	}
	if err := checkRelease(unix.ByteSliceToString(u.Release[:])); err != nil {
		return lasting{err}
	}
	return nil
}

// checkRelease does so for a release such as 6.1.0-56-cloud-amd64.
func checkRelease(release string) error {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("read the kernel's release %q: %w", release, err)
	}
	if major < 5 || major == 5 && minor < 11 { // bpf_ktime_get_coarse_ns
		return fmt.Errorf("the program takes Linux 5.11 or newer, and this is %s", release)
	}
	return nil
}
