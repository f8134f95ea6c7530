// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// errForeign is wrapped by the error of ours. What others can change is neither gone on
// with nor removed: they could offer maps and programs, or a symbolic link to the folders
// of somebody else.
var errForeign = errors.New("others can change what is pinned")

// ours returns an error where somebody but root and the user of the daemon can change what
// is in a folder of bpffs, whether it exists or not: it and what it is in, up to the mount,
// are directories of these two. A sticky one that others may write to, as the root of a
// bpffs often is, is safe where the next one down is theirs.
func ours(path string) error {
	for at := path; ; {
		var s unix.Stat_t
		inBPFFS, err := statIn(at, &s)
		isLink := s.Mode&unix.S_IFMT == unix.S_IFLNK
		switch {
		case errors.Is(err, os.ErrNotExist) && at != filepath.Dir(at): // it is made with the daemon's user
		case err != nil:
			return fmt.Errorf("look at %s: %w", at, err)
		case !inBPFFS && isLink: // of the operator, on the way to the mount
			if at, err = filepath.EvalSymlinks(at); err != nil {
				return fmt.Errorf("look at %s: %w", path, err)
			}
			continue
		case !inBPFFS:
			return nil
		case s.Mode&unix.S_IFMT != unix.S_IFDIR:
			return fmt.Errorf("%w: %s is not a directory", errForeign, at)
		case s.Uid != 0 && int(s.Uid) != os.Geteuid():
			return fmt.Errorf("%w: %s belongs to user %d, neither to root nor to the daemon's user", errForeign, at, s.Uid)
		case writable(&s) && (at == path || s.Mode&unix.S_ISVTX == 0):
			return fmt.Errorf("%w: %s has mode %04o, which lets others write to it", errForeign, at, s.Mode&0o7777)
		}
		at = filepath.Dir(at)
	}
}

// writable reports whether users of other groups may write to a directory.
func writable(s *unix.Stat_t) bool {
	return s.Mode&0o002 != 0 || s.Mode&0o020 != 0 && s.Gid != 0 && int(s.Gid) != os.Getegid()
}

// statIn looks at what is at a path, itself if it is a symbolic link, and reports whether
// that is in a bpffs.
func statIn(path string, s *unix.Stat_t) (inBPFFS bool, err error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	var in unix.Statfs_t
	if err := errors.Join(unix.Fstat(fd, s), unix.Fstatfs(fd, &in)); err != nil {
		return false, err
	}
	return uint32(in.Type) == unix.BPF_FS_MAGIC, nil //nolint:gosec // of 32 bits
}
