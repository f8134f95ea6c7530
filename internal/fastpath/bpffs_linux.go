// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// errNotBPFFS is wrapped by the error of onBPFFS for another file system.
var errNotBPFFS = errors.New("is not in a bpffs")

// onBPFFS returns an error where a folder is not in a bpffs, whether it exists or not.
func onBPFFS(directory string) error {
	at := directory
	for {
		var s unix.Statfs_t
		err := unix.Statfs(at, &s)
		switch {
		case err == nil && uint32(s.Type) == unix.BPF_FS_MAGIC: //nolint:gosec // of 32 bits
			return nil
		case err == nil:
			return fmt.Errorf("%s %w: mount -t bpf bpf /sys/fs/bpf", directory, errNotBPFFS)
		case !errors.Is(err, os.ErrNotExist) || at == filepath.Dir(at):
			return fmt.Errorf("look at %s: %w", at, err)
		}
		at = filepath.Dir(at)
	}
}
