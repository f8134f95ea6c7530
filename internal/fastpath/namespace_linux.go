// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespaceCookie returns the number that the kernel knows the calling thread's network
// namespace by, and gives to no other until it boots. The error wraps unix.ENOPROTOOPT
// before Linux 5.14, which has none.
func namespaceCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("read cookie of network namespace: %w", err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("read cookie of network namespace: %w", err)
	}
	return cookie, nil
}

// namespaces returns a path to each network namespace that has a process or a name, by its
// cookie. One that cannot be entered is left out.
func namespaces() map[uint64]string {
	type file struct{ device, inode uint64 }
	seen := make(map[file]bool)
	found := make(map[uint64]string)
	for _, pattern := range []string{"/proc/[0-9]*/ns/net", "/run/netns/*", "/run/docker/netns/*"} {
		paths, _ := filepath.Glob(pattern) // the patterns are right
		for _, path := range paths {
			var stat unix.Stat_t
			if unix.Stat(path, &stat) != nil { // the process has ended
				continue
			}
			key := file{uint64(stat.Dev), stat.Ino}
			if seen[key] {
				continue
			}
			seen[key] = true
			_ = inNamespace(path, func() error {
				cookie, err := namespaceCookie()
				if err == nil {
					found[cookie] = path
				}
				return err
			})
		}
	}
	return found
}

// inNamespace calls f in the network namespace at a path, on a thread that ends with it.
func inNamespace(path string, f func() error) error {
	ns, err := os.Open(path) //nolint:gosec // one that namespaces has found
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and no unlock: nobody else gets this thread
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		result <- f()
	}()
	return errors.Join(<-result, ns.Close())
}
