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
// are pinned, which ends them, and filters at tc ingress. It returns a line for each thing
// that it has removed. Without names of interfaces, pins of devices go as well that were in
// other network namespaces and are gone. What a daemon uses stays, as does what cannot be
// removed; the error names all of that, and wraps [ErrInUse], [ErrElsewhere] or the kernel's
// error.
func Detach(o DetachOptions) (removed []string, err error) {
	runtime.LockOSThread() // the network namespace is the thread's
	defer runtime.UnlockOSThread()
	own, err := namespaceCookie()
	if errors.Is(err, unix.ENOPROTOOPT) { // this kernel cannot have had a daemon that pins
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	pins, err := openRemains(o.Directory)
	if err != nil {
		return nil, err
	}
	d := &detacher{DetachOptions: o, pins: pins}
	d.free(own)
	switch {
	case o.AllNamespaces:
		d.others(own)
		d.collect(ifEmpty(os.Remove(o.Directory)))
	case len(o.Interfaces) == 0:
		d.dead(own)
	}
	d.collect(pins.close())
	return d.removed, errors.Join(d.errs...)
}

// detacher collects what a call of Detach does.
type detacher struct {
	DetachOptions
	pins    *remains
	removed []string
	errs    []error
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
	all, err := netlink.LinkList()
	if !errors.Is(err, netlink.ErrDumpInterrupted) { // what comes and goes meanwhile has no filter of ours
		d.collect(err)
	}
	var devices []string
	for _, name := range names {
		devices = append(devices, deviceOf(name))
	}
	byName := make(map[string]netlink.Link)
	for _, l := range all {
		byName[l.Attrs().Name] = l
		devices = append(devices, l.Attrs().Name)
	}
	slices.Sort(devices)
	daemon, uses := d.Daemon()
	for _, device := range slices.Compact(devices) {
		if len(d.Interfaces) > 0 && !slices.Contains(d.Interfaces, device) {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return deviceOf(name) != device })
		if daemon != "" && uses(device) {
			if len(own) > 0 || slices.Contains(d.Interfaces, device) {
				d.collect(fmt.Errorf("detach %s: %w: %s", device, ErrInUse, daemon))
			}
			continue
		}
		if l, ok := byName[device]; ok { // before the pins, so that the answers end first
			gone, err := removeFilters(l)
			if gone {
				d.removed = append(d.removed, fmt.Sprintf("%s: the filter at tc ingress", device))
			}
			if err != nil {
				d.collect(fmt.Errorf("detach %s: %w", device, err))
			}
		}
		for _, name := range own {
			if err := forgetHearingOf(filepath.Join(d.Directory, folder, name)); err != nil {
				d.collect(fmt.Errorf("detach %s: %w", device, err))
			}
			d.unpin(folder, name)
		}
		if l, ok := byName[device]; ok {
			d.collect(d.elsewhere(l, cookie))
		}
	}
	d.collect(d.pins.removeEmpty(folder))
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
	if err := d.pins.remove(path); err != nil {
		d.collect(fmt.Errorf("detach %s: %w", deviceOf(name), err))
		return
	}
	d.removed = append(d.removed, fmt.Sprintf("%s: what was pinned in %s", deviceOf(name), filepath.Join(d.Directory, path)))
}
