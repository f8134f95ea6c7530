// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// BPFFS mounts a BPF file system for as long as the test runs, and returns a directory in
// it for a daemon's pins, which the daemon makes.
func BPFFS(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	Must(tb, unix.Mount("bpf", dir, "bpf", 0, ""))
	tb.Cleanup(func() { Must(tb, unix.Unmount(dir, unix.MNT_DETACH)) })
	return filepath.Join(dir, "ndproxyd")
}
