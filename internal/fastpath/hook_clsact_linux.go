// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// What our filter is known by, so that the next daemon replaces it and adds no second one.
const (
	filterHandle = 0x6e64 // "nd"
	// firstPriority is before all others; where another kind of filter has it, the next
	// free one is ours.
	firstPriority, lastPriority = 1, 64
)

// clsact attaches the program by a filter at tc ingress, for Linux before 6.6. A filter
// stays when the process ends, until it is removed.
type clsact struct {
	device *device
	filter netlink.BpfFilter
	id     ebpf.ProgramID
	made   bool // the hook was not there before
}

func attachClsact(d *device, p *ebpf.Program) (hook, error) {
	info, err := p.Info()
	if err != nil {
		return nil, fmt.Errorf("look at program: %w", err)
	}
	h := &clsact{device: d}
	h.id, _ = info.ID()
	err = d.netlink.QdiscAdd(h.qdisc())
	h.made = err == nil
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("add clsact at tc ingress: %w", err)
	}
	if err := h.add(p); err != nil {
		return nil, errors.Join(err, h.removeQdisc())
	}
	return h, nil
}

func (h *clsact) qdisc() netlink.Qdisc {
	return &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: h.device.index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
}

// add adds the filter, or gives the one that an earlier daemon has left the program.
func (h *clsact) add(p *ebpf.Program) error {
	first, last := uint16(firstPriority), uint16(lastPriority)
	filters, err := h.filters(netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return err
	}
	for _, f := range filters {
		if own, ok := f.(*netlink.BpfFilter); ok && own.Name == filterName && own.Handle == filterHandle {
			first, last = own.Priority, own.Priority
		}
	}
	for priority := first; ; priority++ {
		h.filter = netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: h.device.index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: filterHandle, Priority: priority,
				Protocol: unix.ETH_P_ALL, // as others have it, with whom we share a priority
			},
			Fd: p.FD(), Name: filterName, DirectAction: true,
		}
		err := h.device.netlink.FilterReplace(&h.filter)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINVAL) || priority == last { // EINVAL: another kind of filter has the priority
			return fmt.Errorf("add filter at tc ingress: %w", err)
		}
	}
}

func (h *clsact) filters(parent uint32) ([]netlink.Filter, error) {
	filters, err := h.device.netlink.FilterList(h.device.handle(), parent)
	if err != nil {
		return nil, fmt.Errorf("list filters at tc: %w", err)
	}
	return filters, nil
}

func (*clsact) Way() ndp.Way { return ndp.WayTC }
func (*clsact) Name() string { return "clsact" }

// Program implements [hook].
func (h *clsact) Program() ebpf.ProgramID { return h.id }

func (h *clsact) Update(p *ebpf.Program) error { return h.add(p) }
func (*clsact) Pin(*folder) error              { return nil }
func (*clsact) Release() error                 { return nil }

// Attached implements [hook].
func (h *clsact) Attached() error {
	filters, err := h.filters(netlink.HANDLE_MIN_INGRESS)
	if errors.Is(err, netlink.ErrDumpInterrupted) { // the next look will tell
		return nil
	} else if err != nil {
		return err
	}
	for _, f := range filters {
		if own, ok := f.(*netlink.BpfFilter); ok && ebpf.ProgramID(own.Id) == h.id { //nolint:gosec // the kernel's number
			return nil
		}
	}
	return errDetached
}

// Close implements [hook]. What is gone already is no error, and a filter that another
// daemon has given its own program since is left to that.
func (h *clsact) Close() error {
	if err := h.Attached(); errors.Is(err, errDetached) || errors.Is(err, unix.ENODEV) {
		return h.removeQdisc()
	}
	if err := h.device.netlink.FilterDel(&h.filter); err != nil && !gone(err) {
		return fmt.Errorf("remove filter at tc ingress: %w", err)
	}
	return h.removeQdisc()
}

// removeQdisc removes the hook if we have made it, and nobody else has a filter there.
func (h *clsact) removeQdisc() error {
	if !h.made {
		return nil
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		if filters, err := h.filters(parent); err != nil || len(filters) > 0 {
			return nil //nolint:nilerr // then it stays
		}
	}
	if err := h.device.netlink.QdiscDel(h.qdisc()); err != nil && !gone(err) {
		return fmt.Errorf("remove clsact at tc ingress: %w", err)
	}
	return nil
}

// gone reports whether what was to be removed is not there.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)
}
