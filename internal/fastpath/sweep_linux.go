// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Sweep removes what daemons before the calling one have left in its network namespace, but
// for what its uplinks have taken over, and in other namespaces on devices that are gone. It
// returns a line for each thing that it has removed.
//
// uses reports whether an uplink has a device, by its name and index. The index is 0 where no
// device has the name: then one that an uplink was given by that name may have been renamed. What
// is pinned by the name of one that is nowhere is attached to a device that was renamed or moved
// to another network namespace, and answers there. Of each device that is asked after it was seen
// that there is something, because uplinks come meanwhile, and what they have is theirs.
func Sweep(directory string, uses func(device string, index int) bool) (removed []string, err error) {
	runtime.LockOSThread() // the network namespace is the thread's
	defer runtime.UnlockOSThread()
	cookie, err := namespaceCookie()
	if errors.Is(err, unix.ENOPROTOOPT) { // this kernel cannot have had a daemon that pins
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	d := &detacher{DetachOptions: DetachOptions{Directory: directory, trusted: func(path string) bool { return ours(path) == nil }}}
	d.sweepPins(cookie, uses)
	if privileged() == nil { // who is not can neither see nor detach anything
		d.sweepDevices(uses)
		d.elsewhere(cookie, func(device string) (remove, forget bool) { return true, !uses(device, indexOf(device)) })
	}
	return d.removed, errors.Join(d.errs...)
}

// sweepPins removes the folders of interfaces that are no uplinks, or are not there.
func (d *detacher) sweepPins(cookie uint64, uses func(device string, index int) bool) {
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
		d.sweepFolder(folder, uses)
	}
	d.dead(cookie)
	d.collect(pins.close())
}

// sweepFolder does so in the folder of the calling thread's network namespace.
func (d *detacher) sweepFolder(folder string, uses func(device string, index int) bool) {
	names, err := d.pins.names(folder)
	if !errors.Is(err, fs.ErrPermission) { // none that this daemon could have left
		d.collect(err)
	}
	for _, name := range names {
		device := deviceOf(name)
		if !d.trusted(filepath.Join(d.Directory, folder, name)) || uses(device, indexOf(device)) {
			continue
		}
		d.forgetHearing(folder, name)
		d.unpin(folder, name)
	}
	d.collect(d.pins.removeEmpty(folder))
}

// indexOf returns the index of the device that has a name, 0 if none has.
func indexOf(device string) int {
	l, err := net.InterfaceByName(device)
	if err != nil {
		return 0
	}
	return l.Index
}

// sweepDevices detaches the programs on devices that are no uplinks.
func (d *detacher) sweepDevices(uses func(device string, index int) bool) {
	all, err := netlink.LinkList()
	if !errors.Is(err, netlink.ErrDumpInterrupted) { // what comes and goes meanwhile has no program of ours
		d.collect(err)
	}
	for _, l := range all {
		d.detachStrays(l, func(*attached) bool { return uses(l.Attrs().Name, l.Attrs().Index) })
	}
}
