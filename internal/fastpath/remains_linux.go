// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
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

// remove removes a folder, which ends what is pinned there, and reports whether it has
// ended a link. Links end before, because the kernel ends one some time after its last file
// has gone, and files that cannot be removed must not keep the program from ending.
func (r *remains) remove(folder string) (ended bool, err error) {
	names, _ := r.names(folder)
	for _, name := range names {
		ended = r.end(folder, name) || ended
	}
	_ = r.root.Remove(filepath.Join(folder, pinnedAbout)) // without it, the folder counts for nothing
	return ended, r.root.RemoveAll(folder)
}

// end ends what is pinned by a name as far as that is not done by removing it, and reports
// whether a link was ended. An error changes no more than the time when it ends.
func (r *remains) end(folder, name string) (ended bool) {
	dir, err := r.root.Open(folder)
	if err != nil {
		return false
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	l, err := link.LoadPinnedLink(path, nil)
	switch {
	case err == nil:
		return endLink(l) == nil
	case errors.Is(err, unix.EROFS): // links are opened for writing only, but found by their program
		return endLinksOf(path)
	}
	return false // a map or a program
}

// endLinksOf ends the links of a program that is pinned at a path, if it is one of ours.
func endLinksOf(path string) bool {
	p, err := ebpf.LoadPinnedProgram(path, &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return false
	}
	defer p.Close() //nolint:errcheck // nothing was written
	info, err := p.Info()
	if err != nil || !strings.HasPrefix(info.Name, programPrefix) {
		return false
	}
	id, _ := info.ID()
	ended, err := endLinks(id, 0)
	return ended > 0 && err == nil
}

// removeEmpty removes a folder if it is there and nothing is in it.
func (r *remains) removeEmpty(folder string) error {
	if r.root == nil {
		return nil
	}
	return ifEmpty(r.root.Remove(folder))
}

// ifEmpty returns the error of a removal that was tried in case that a folder is there,
// nothing is in it, and nothing is mounted on it. Where nothing can be removed, that was said
// of what is in it.
func ifEmpty(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}
