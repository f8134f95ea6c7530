// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"os"

	"golang.org/x/sys/unix"
)

// CheckPrivilege reports whether the process may open packet sockets, before
// there is an interface to open one on. Without CAP_NET_RAW the error wraps
// [os.ErrPermission].
func CheckPrivilege() error {
	// Protocol 0 receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open packet socket", err)
	}
	return unix.Close(fd)
}
