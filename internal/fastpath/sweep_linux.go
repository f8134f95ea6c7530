// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Sweep removes what daemons before the calling one have left in its network namespace, but
// for what its uplinks have taken over, and in other namespaces on devices that are gone. It
// returns a line for each thing that it has removed. Of an uplink is known which device it
// is, 0 for none: what is pinned by the name of one that is not there is attached to a device
// that was renamed or moved to another network namespace, and answers there.
func Sweep(directory string, uplinks map[string]int) (removed []string, err error) {
	runtime.LockOSThread() // the network namespace is the thread's
	defer runtime.UnlockOSThread()
	cookie, err := namespaceCookie()
	if errors.Is(err, unix.ENOPROTOOPT) { // this kernel cannot have had a daemon that pins
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	d := &detacher{DetachOptions: DetachOptions{Directory: directory, trusted: func(path string) bool { return ours(path) == nil }}}
	d.sweepPins(cookie, uplinks)
	if privileged() == nil { // who is not can neither see nor detach anything
		d.sweepDevices(uplinks)
		d.elsewhere(cookie, func(device string) (remove, forget bool) {
			_, uses := uplinks[device]
			return true, !uses
		})
	}
	return d.removed, errors.Join(d.errs...)
}

// sweepPins removes the folders of interfaces that are no uplinks, or are not there.
func (d *detacher) sweepPins(cookie uint64, uplinks map[string]int) {
	if onBPFFS(d.Directory) != nil || ours(filepath.Join(d.Directory, "any")) != nil {
		return // nothing that this daemon could have left, and status says so
	}
	pins, err := openRemains(d.Directory)
	if errors.Is(err, fs.ErrPermission) { // none that this daemon could have left
		return
	} else if err != nil {
		d.collect(err)
		return
	}
	d.pins = pins
	folder := namespaceFolder("", cookie)
	if d.trusted(filepath.Join(d.Directory, folder, "any")) {
		d.sweepFolder(folder, uplinks)
	}
	d.dead(cookie)
	d.collect(pins.close())
}

// sweepFolder does so in the folder of the calling thread's network namespace.
func (d *detacher) sweepFolder(folder string, uplinks map[string]int) {
	names, err := d.pins.names(folder)
	if !errors.Is(err, fs.ErrPermission) { // none that this daemon could have left
		d.collect(err)
	}
	for _, name := range names {
		if !d.trusted(filepath.Join(d.Directory, folder, name)) || isUplink(deviceOf(name), uplinks) {
			continue
		}
		d.forgetHearing(folder, name)
		d.unpin(folder, name)
	}
	d.collect(d.pins.removeEmpty(folder))
}

// isUplink reports whether a daemon has an uplink of that name, which is there or about to
// be looked at.
func isUplink(device string, uplinks map[string]int) bool {
	index, ok := uplinks[device]
	if !ok || index != 0 {
		return ok
	}
	_, err := net.InterfaceByName(device)
	return err == nil
}

// sweepDevices detaches the programs on devices that are no uplinks.
func (d *detacher) sweepDevices(uplinks map[string]int) {
	all, err := netlink.LinkList()
	if !errors.Is(err, netlink.ErrDumpInterrupted) { // what comes and goes meanwhile has no program of ours
		d.collect(err)
	}
	var used []int
	for _, index := range uplinks {
		used = append(used, index)
	}
	for _, l := range all {
		if _, ok := uplinks[l.Attrs().Name]; ok || slices.Contains(used, l.Attrs().Index) {
			continue
		}
		d.detachStrays(l)
	}
}
