// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// The memberships of a socket end with its process, and a card filters what is sent to
// groups that nobody has joined: the program would not hear multicast solicitations any
// more. So what the memberships ask of the device is asked for a second time, in forms
// that stay: its flag, and link-layer addresses as "ip maddr add" gives them. Reports of
// MLD end with the process all the same, so that a switch that snoops forgets joined
// groups within seconds.

// setAllMulticast sets the device's flag, and reports whether it was not so before.
func (d *device) setAllMulticast(on bool) (changed bool, err error) {
	l, err := d.netlink.LinkByIndex(d.index)
	if err != nil {
		return false, fmt.Errorf("look at the device: %w", err)
	}
	if (l.Attrs().RawFlags&unix.IFF_ALLMULTI != 0) == on {
		return false, nil
	}
	set := d.netlink.LinkSetAllmulticastOff
	if on {
		set = d.netlink.LinkSetAllmulticastOn
	}
	if err := set(l); err != nil {
		return false, fmt.Errorf("set the device's flag for all-multicast: %w", err)
	}
	return true, nil
}

// setGroup gives the device the link-layer address of a group, or takes it away. Either
// may be so already.
func (d *device) setGroup(group uint32, on bool) error {
	var r struct {
		name   [unix.IFNAMSIZ]byte
		family uint16
		mac    [6]byte
		_      [16]byte
	}
	l, err := d.netlink.LinkByIndex(d.index)
	if err != nil {
		return fmt.Errorf("look at the device: %w", err)
	}
	copy(r.name[:unix.IFNAMSIZ-1], l.Attrs().Name)
	r.mac = groupMAC(group)
	request := uintptr(unix.SIOCDELMULTI)
	if on {
		request = unix.SIOCADDMULTI
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.ethtool), request, uintptr(unsafe.Pointer(&r)))
	if errno != 0 && (on || errno != unix.ENOENT) {
		return fmt.Errorf("keep the link-layer address of %s: %w", ndp.SolicitedNode(group), errno)
	}
	return nil
}

// groupMAC returns the link-layer address of a solicited-node group, RFC 2464 §7.
func groupMAC(group uint32) [6]byte {
	return [6]byte{0x33, 0x33, 0xff, byte(group >> 16), byte(group >> 8), byte(group)} //nolint:gosec // of 24 bits
}

// keptGroups returns the solicited-node groups of which a device has the link-layer
// address by itself, as the kernel lists them for the calling thread's network namespace.
func keptGroups(index int) (groups []uint32, err error) {
	f, err := os.Open("/proc/thread-self/net/dev_mcast")
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var i, users, global int
		var name, mac string
		if _, err := fmt.Sscan(lines.Text(), &i, &name, &users, &global, &mac); err != nil || i != index || global == 0 {
			continue
		}
		b, err := hex.DecodeString(mac)
		if err == nil && len(b) == 6 && groupMAC(uint32(b[3])<<16|uint32(b[4])<<8|uint32(b[5])) == [6]byte(b) {
			groups = append(groups, uint32(b[3])<<16|uint32(b[4])<<8|uint32(b[5]))
		}
	}
	return groups, nil
}

// SetAllMulticast implements [ndp.Responder].
func (r *Responder) SetAllMulticast(on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Listener.SetAllMulticast(on); err != nil {
		return err
	}
	if on { // a membership that replaces another begins before that one ends
		r.allMulticast++
		r.keepHearing()
	} else { // what is not wanted any more is taken back with the program
		r.allMulticast = max(r.allMulticast-1, 0)
	}
	return nil
}

// KeepGroup hears of the groups that are joined, see [ndp.NewMembership].
func (r *Responder) KeepGroup(group uint32, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on {
		r.groups[group] = true
	} else {
		delete(r.groups, group)
	}
	if r.fast == nil || !r.fast.stays() {
		return
	}
	if on && !r.fast.program.mark(func(a *about) { a.Groups = 1 }) {
		return
	}
	if err := r.fast.device.setGroup(group, on); err != nil {
		r.log().Debug("a group is not heard without the daemon", "err", err)
	}
}

// keepHearing asks the device for what the program has to hear without the daemon.
func (r *Responder) keepHearing() {
	if r.fast == nil || !r.fast.stays() {
		return
	}
	if r.allMulticast > 0 {
		changed, err := r.fast.device.setAllMulticast(true)
		if err != nil {
			r.log().Warn("the program may hear no multicast solicitations without the daemon", "err", err)
		}
		if changed {
			r.fast.program.mark(func(a *about) { a.AllMulticast = 1 })
		}
	}
	if len(r.groups) > 0 {
		r.fast.program.mark(func(a *about) { a.Groups = 1 })
	}
	for group := range r.groups {
		if err := r.fast.device.setGroup(group, true); err != nil {
			r.log().Debug("a group is not heard without the daemon", "err", err)
		}
	}
}

// mark changes what the folder tells of itself, and reports whether that is written.
func (p *Program) mark(change func(*about)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.about
	change(&p.about)
	return p.about == before || p.about.write(p.aboutMap) == nil
}

// stopHearing takes back what daemons have asked of a device but for what is wanted, by
// the marks that they have made, which it removes.
func (d *device) stopHearing(a *about, allMulticast bool, wanted map[uint32]bool) error {
	if a.AllMulticast == 1 && !allMulticast {
		a.AllMulticast = 0
		if _, err := d.setAllMulticast(false); err != nil {
			return err
		}
	}
	if a.Groups == 0 {
		return nil
	}
	kept, err := keptGroups(d.index)
	if err != nil {
		return fmt.Errorf("list the device's groups: %w", err)
	}
	for _, group := range slices.DeleteFunc(kept, func(g uint32) bool { return wanted[g] }) {
		if err := d.setGroup(group, false); err != nil {
			return err
		}
	}
	if len(wanted) == 0 {
		a.Groups = 0
	}
	return nil
}

// forgetHearing does so on a device of the calling thread's network namespace, if it is
// still there.
func forgetHearing(a *about) error {
	if a.AllMulticast == 0 && a.Groups == 0 {
		return nil
	}
	d, err := openDevice(int(a.Index))
	if err != nil {
		return err
	}
	defer d.close()
	if _, err := d.netlink.LinkByIndex(d.index); errors.As(err, new(netlink.LinkNotFoundError)) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return d.stopHearing(a, false, nil)
}

// forgetHearingOf does so for what a folder tells, if it tells anything.
func forgetHearingOf(path string) error {
	m, err := (&folder{path: path}).openMap(pinnedAbout, aboutSpec())
	if err != nil {
		return nil //nolint:nilerr // of another version, or no pin at all
	}
	defer func() { _ = m.Close() }()
	a, err := readAbout(m)
	if err != nil {
		return err
	}
	return forgetHearing(&a)
}
