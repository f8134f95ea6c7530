// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// remains is a directory in which daemons have pinned. They own it, and who removes what is in
// it is root: so no symbolic link is followed out of it, whatever a daemon that was taken
// over has left there. Names are below the directory.
type remains struct{ root *os.Root }

// openRemains opens a directory, which need not exist, and refuses one that is not in a
// bpffs: nothing but pins may be removed.
func openRemains(directory string) (*remains, error) {
	root, err := os.OpenRoot(directory)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return new(remains), nil
	case err != nil:
		return nil, fmt.Errorf("look at what is pinned: %w", err)
	}
	if err := onBPFFS(directory); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &remains{root}, nil
}

func (r *remains) close() error {
	if r.root == nil {
		return nil
	}
	return r.root.Close()
}

// names returns what is in a folder, nothing if it is not there.
func (r *remains) names(folder string) (names []string, err error) {
	if r.root == nil {
		return nil, nil
	}
	dir, err := r.root.Open(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	names, err = dir.Readdirnames(-1)
	return names, errors.Join(err, dir.Close())
}

// remove removes a folder, which ends what is pinned there. Links end before, because the
// kernel ends one some time after its last file has gone.
func (r *remains) remove(folder string) error {
	names, _ := r.names(folder)
	for _, name := range names {
		r.detach(folder, name)
	}
	_ = r.root.Remove(filepath.Join(folder, pinnedAbout)) // without it, the folder counts for nothing
	return r.root.RemoveAll(folder)
}

// detach ends a link. An error changes no more than the time when it ends.
func (r *remains) detach(folder, name string) {
	dir, err := r.root.Open(folder)
	if err != nil {
		return
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	l, err := link.LoadPinnedLink(fmt.Sprintf("/proc/self/fd/%d", fd), nil)
	if err != nil { // a map or a program
		return
	}
	_ = l.Detach()
	_ = l.Close()
}

// removeEmpty removes a folder if it is there and nothing is in it.
func (r *remains) removeEmpty(folder string) error {
	if r.root == nil {
		return nil
	}
	return ifEmpty(r.root.Remove(folder))
}

// ifEmpty returns the error of a removal that was tried in case that a folder is there,
// nothing is in it, and nothing is mounted on it.
func ifEmpty(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EBUSY) {
		return nil
	}
	return err
}
