// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrInUse is wrapped by the error of [Detach] for an interface on which a daemon that runs
// answers with the program.
var ErrInUse = errors.New("a daemon that runs answers with the program")

// DetachOptions are what [Detach] takes.
type DetachOptions struct {
	// Directory is where daemons pin; it need not exist.
	Directory string
	// Interfaces are those that are to be freed; without any, all of them.
	Interfaces []string
	// AllNamespaces has the other network namespaces freed as well, of all interfaces.
	AllNamespaces bool
	// Daemon is called on a thread in the network namespace that is about to be freed.
	// It returns the name of the daemon that runs there, "" if none does, and whether
	// that answers with the program on an interface.
	Daemon func() (name string, uses func(device string) bool)

	// trusted reports whether what is pinned at a path may be removed; nil for always. Root
	// needs no such question, as it follows no symbolic link.
	trusted func(path string) bool
}

// Detach removes what daemons that no longer run have left: links, programs and maps that
// are pinned, which ends them, filters at tc ingress, and what is attached without a pin or
// with one in another directory. It returns a line for each thing that it has removed.
// Without names of interfaces, pins of devices go as well that were in other network
// namespaces and are gone. What a daemon uses stays, as does what cannot be removed; the
// error names all of that, and wraps [ErrInUse] or the kernel's error.
func Detach(o DetachOptions) (removed []string, err error) {
	runtime.LockOSThread() // the network namespace is the thread's
	defer runtime.UnlockOSThread()
	own, err := namespaceCookie()
	if errors.Is(err, unix.ENOPROTOOPT) { // this kernel cannot have had a daemon that pins
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	d := &detacher{DetachOptions: o}
	d.pins, err = openRemains(o.Directory)
	if err != nil { // what is attached can be found without
		d.collect(err)
		d.pins = new(remains)
	}
	d.free(own)
	switch {
	case err != nil:
	case o.AllNamespaces:
		d.others(own)
		d.collect(ifEmpty(os.Remove(o.Directory)))
	case len(o.Interfaces) == 0:
		d.dead(own)
	}
	d.collect(d.pins.close())
	return d.removed, errors.Join(d.errs...)
}

// detacher collects what a call of Detach does.
type detacher struct {
	DetachOptions
	pins     *remains
	programs pinnedPrograms // seen by those who may not read names
	removed  []string
	errs     []error
}

func (d *detacher) collect(err error) {
	if err != nil {
		d.errs = append(d.errs, err)
	}
}

// others frees the other network namespaces that have a folder. A namespace that no process
// is in and that has no name has ended, or is out of reach: then the pins alone can go.
func (d *detacher) others(own uint64) {
	folders := d.folders(".")
	if len(folders) == 0 {
		return
	}
	reachable := namespaces()
	d.Interfaces = nil
	for _, name := range folders {
		cookie, err := strconv.ParseUint(name, 10, 64)
		if err != nil || cookie == own {
			continue
		}
		path, ok := reachable[cookie]
		if !ok {
			for _, device := range d.folders(name) {
				d.unpin(name, device)
			}
			d.collect(d.pins.removeEmpty(name))
			continue
		}
		d.collect(inNamespace(path, func() error { d.free(cookie); return nil }))
	}
}

// free frees the calling thread's network namespace.
func (d *detacher) free(cookie uint64) {
	folder := namespaceFolder("", cookie)
	names := d.folders(folder)
	devices, byName := d.devices(names)
	daemon, uses := d.Daemon()
	chosen := func(device string) bool {
		return (len(d.Interfaces) == 0 || slices.Contains(d.Interfaces, device)) && (daemon == "" || !uses(device))
	}
	for _, device := range devices {
		own := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return deviceOf(name) != device })
		named := slices.Contains(d.Interfaces, device)
		if !chosen(device) {
			if daemon != "" && uses(device) && (named || len(d.Interfaces) == 0 && (len(own) > 0 || d.isAttached(byName[device]))) {
				d.collect(fmt.Errorf("detach %s: %w: %s", device, ErrInUse, daemon))
			}
			continue
		}
		l, exists := byName[device]
		if exists { // before the pins, so that the answers end first
			d.removeFilters(l)
		}
		for _, name := range own {
			d.forgetHearing(folder, name)
			d.unpin(folder, name)
		}
		if exists {
			d.detachStrays(l, func(*attached) bool { return false })
		}
	}
	d.collect(d.pins.removeEmpty(folder))
	d.elsewhere(cookie, func(device string) (remove, forget bool) { return chosen(device), true })
}

// devices returns the interfaces that exist in the calling thread's network namespace, and
// those that have a folder, in order.
func (d *detacher) devices(folders []string) (devices []string, byName map[string]netlink.Link) {
	all, err := netlink.LinkList()
	if !errors.Is(err, netlink.ErrDumpInterrupted) { // what comes and goes meanwhile has no program of ours
		d.collect(err)
	}
	for _, name := range folders {
		devices = append(devices, deviceOf(name))
	}
	byName = make(map[string]netlink.Link)
	for _, l := range all {
		byName[l.Attrs().Name] = l
		devices = append(devices, l.Attrs().Name)
	}
	slices.Sort(devices)
	return slices.Compact(devices), byName
}

func (d *detacher) removeFilters(l netlink.Link) {
	gone, err := removeFilters(l)
	if gone {
		d.removed = append(d.removed, l.Attrs().Name+": the filter at tc ingress")
	}
	if err != nil {
		d.collect(fmt.Errorf("detach %s: %w", l.Attrs().Name, err))
	}
}

// detachStrays detaches the programs of a device that nothing pins, or nothing that can be
// seen, but for those that own picks.
func (d *detacher) detachStrays(l netlink.Link, own func(*attached) bool) {
	name := l.Attrs().Name
	strays, _, err := straysOn(l.Attrs().Index, &d.programs, own)
	if err != nil && !errors.Is(err, os.ErrPermission) { // who may not look has no program to look for
		d.collect(fmt.Errorf("detach %s: %w", name, err))
	}
	gone, _, err := detachAll(strays, l.Attrs().Index)
	if err != nil {
		d.collect(fmt.Errorf("detach %s: %w", name, err))
	}
	for _, what := range gone {
		d.removed = append(d.removed, name+": "+what)
	}
}

// isAttached reports whether a program of ours is attached to a device, which may be nil.
func (d *detacher) isAttached(l netlink.Link) bool {
	if l == nil {
		return false
	}
	found, _, _ := straysOn(l.Attrs().Index, &d.programs, func(*attached) bool { return false })
	return len(found) > 0
}

// elsewhere removes what daemons have pinned of a network namespace in other directories
// than the one that was named.
func (d *detacher) elsewhere(cookie uint64, choose func(device string) (remove, forget bool)) {
	namespace := namespaceFolder("", cookie)
	for _, directory := range elsewhere(d.Directory, cookie) {
		pins, err := openRemains(directory)
		switch {
		case errors.Is(err, errNotBPFFS): // another file system is mounted within
			continue
		case err != nil:
			d.collect(err)
			continue
		}
		other := &detacher{DetachOptions: d.DetachOptions, pins: pins}
		other.Directory = directory
		for _, name := range other.folders(namespace) {
			path := filepath.Join(directory, namespace, name)
			remove, forget := choose(deviceOf(name))
			if !remove || !(&folder{path: path}).complete() || d.trusted != nil && !d.trusted(path) {
				continue
			}
			if forget {
				other.forgetHearing(namespace, name)
			}
			other.unpin(namespace, name)
		}
		if len(other.removed) > 0 { // an empty one may be another's, whose number is the same by chance
			other.collect(pins.removeEmpty(namespace))
		}
		other.collect(pins.close())
		d.removed, d.errs = append(d.removed, other.removed...), append(d.errs, other.errs...)
	}
}

// forgetHearing takes back what a daemon has asked of the device for the program.
func (d *detacher) forgetHearing(folder, name string) {
	if err := forgetHearingOf(filepath.Join(d.Directory, folder, name)); err != nil {
		d.collect(fmt.Errorf("detach %s: %w", deviceOf(name), err))
	}
}

// folders returns the names in a folder.
func (d *detacher) folders(folder string) []string {
	names, err := d.pins.names(folder)
	d.collect(err)
	return names
}

// unpin removes an interface's folder.
func (d *detacher) unpin(folder, name string) {
	path := filepath.Join(folder, name)
	ended, err := d.pins.remove(path)
	at := filepath.Join(d.Directory, path)
	switch {
	case err != nil && ended:
		d.removed = append(d.removed, fmt.Sprintf("%s: the program that is pinned in %s", deviceOf(name), at))
		d.collect(fmt.Errorf("detach %s: what is pinned in %s answers no more, but stays: %w", deviceOf(name), at, err))
	case err != nil:
		d.collect(fmt.Errorf("detach %s: %w", deviceOf(name), err))
	default:
		d.removed = append(d.removed, fmt.Sprintf("%s: what was pinned in %s", deviceOf(name), at))
	}
}
