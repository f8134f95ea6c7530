// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// dead removes what is pinned of devices that are gone, in other network namespaces than
// the one with that cookie: a namespace cannot be found by its cookie, but a link knows
// whether it has a device, and one that has none never gets another. A filter of clsact has
// no link, so that what belongs to it stays.
func (d *detacher) dead(own uint64) {
	for _, namespace := range d.folders(".") {
		if cookie, err := strconv.ParseUint(namespace, 10, 64); err != nil || cookie == own {
			continue
		}
		for _, name := range d.folders(namespace) {
			path := filepath.Join(namespace, name)
			if d.trusted != nil && !d.trusted(filepath.Join(d.Directory, path)) {
				continue
			}
			removed, err := d.pins.removeDead(path)
			if removed {
				d.removed = append(d.removed, fmt.Sprintf("%s, which is gone: what was pinned in %s", deviceOf(name), filepath.Join(d.Directory, path)))
			}
			if err != nil {
				d.collect(fmt.Errorf("detach %s: %w", deviceOf(name), err))
			}
		}
		d.collect(d.pins.removeEmpty(namespace))
	}
}

// removeDead removes a folder if its link has no device, and reports whether it did. A
// daemon that puts another folder in its place meanwhile keeps that one.
func (r *remains) removeDead(folder string) (removed bool, err error) {
	root, err := r.root.OpenRoot(folder)
	if err != nil { // it is gone, or no folder
		return false, nil //nolint:nilerr // nothing that is known to be dead
	}
	defer root.Close() //nolint:errcheck // nothing was written
	if !hasDeadLink(root) {
		return false, nil
	}
	_ = root.Remove(pinnedAbout) // without it, the folder counts for nothing
	dir, err := root.Open(".")
	if err != nil {
		return false, err
	}
	names, err := dir.Readdirnames(-1)
	err = errors.Join(err, dir.Close())
	for _, name := range names {
		err = errors.Join(err, root.Remove(name))
	}
	return err == nil, errors.Join(err, r.removeEmpty(folder))
}

// hasDeadLink reports whether the link that is pinned in a folder has lost its device.
func hasDeadLink(root *os.Root) bool {
	dir, err := root.Open(".")
	if err != nil {
		return false
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	fd, err := unix.Openat(int(dir.Fd()), pinnedLink, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	l, err := link.LoadPinnedLink(fmt.Sprintf("/proc/self/fd/%d", fd), nil)
	if err != nil {
		return false
	}
	defer l.Close() //nolint:errcheck // nothing was written
	info, err := l.Info()
	if err != nil {
		return false
	}
	tcx, xdp := info.TCX(), info.XDP()
	return info.Type == link.TCXType && tcx != nil && tcx.Ifindex == 0 || info.Type == link.XDPType && xdp != nil && xdp.Ifindex == 0
}
