// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Where a program is attached, in words.
const (
	atTC  = "tc ingress"
	atXDP = "XDP"
)

// attached is a program that is attached to a device, ours or another's.
type attached struct {
	at     string
	id     ebpf.ProgramID
	link   link.ID            // 0 where it has none, or where the kernel does not tell it
	filter *netlink.BpfFilter // of clsact, nil elsewhere
	mode   int                // of XDP, a flag XDP_FLAGS_*_MODE
}

// attachedTo returns the programs at tc ingress and at XDP of a device in the calling
// thread's network namespace, also beside an error, by which some may be missing. A device that is
// gone has none.
func attachedTo(index int) ([]attached, error) {
	tc, err := attachedToTCX(index)
	filters, ferr := attachedByFilters(index)
	xdp, xerr := attachedToXDP(index)
	return slices.Concat(tc, filters, xdp), errors.Join(err, ferr, xerr)
}

func attachedToTCX(index int) (all []attached, err error) {
	q, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
	switch {
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL): // before Linux 6.6
		return nil, nil
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOENT): // ENOENT: nobody has been there yet
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("list programs at tc ingress: %w", err)
	}
	for _, p := range q.Programs {
		l, _ := p.LinkID()
		all = append(all, attached{at: atTC, id: p.ID, link: l})
	}
	return all, nil
}

func attachedByFilters(index int) ([]attached, error) {
	return attachedOf(netlink.FilterList(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}, netlink.HANDLE_MIN_INGRESS))
}

// attachedOf returns the programs of filters that were listed, those beside an error as well: a
// dump that was interrupted, as others have changed filters meanwhile, lacks some at most.
func attachedOf(filters []netlink.Filter, err error) (all []attached, _ error) {
	switch {
	case errors.Is(err, unix.ENODEV):
		return nil, nil
	case err != nil:
		err = fmt.Errorf("list filters at tc ingress: %w", err)
	}
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok {
			all = append(all, attached{at: atTC, id: ebpf.ProgramID(b.Id), filter: b}) //nolint:gosec // the kernel's number
		}
	}
	return all, err
}

// The attributes of a device's XDP hook that package netlink does not have: the program of
// each mode, of which a device may have several at once.
const (
	xdpDriverID  = 5 // IFLA_XDP_DRV_PROG_ID
	xdpGenericID = 6 // IFLA_XDP_SKB_PROG_ID
)

// attachedToXDP asks the kernel itself, see xdpDriverID.
func attachedToXDP(index int) (all []attached, err error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index) //nolint:gosec // the kernel's number
	request.AddData(message)
	replies, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	switch {
	case errors.Is(err, unix.ENODEV):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look at the device's XDP hook: %w", err)
	}
	for _, reply := range replies {
		attributes, err := nl.ParseRouteAttr(reply[unix.SizeofIfInfomsg:])
		if err != nil {
			return nil, fmt.Errorf("look at the device's XDP hook: %w", err)
		}
		for _, a := range attributes {
			if a.Attr.Type != unix.IFLA_XDP {
				continue
			}
			of, err := nl.ParseRouteAttr(a.Value)
			if err != nil {
				return nil, fmt.Errorf("look at the device's XDP hook: %w", err)
			}
			all = append(all, xdpPrograms(of)...)
		}
	}
	return all, nil
}

// xdpPrograms reads the attributes of a hook.
func xdpPrograms(hook []syscall.NetlinkRouteAttr) (all []attached) {
	modes := map[uint16]int{xdpDriverID: nl.XDP_FLAGS_DRV_MODE, xdpGenericID: nl.XDP_FLAGS_SKB_MODE}
	for _, a := range hook {
		if mode := modes[a.Attr.Type]; mode != 0 && len(a.Value) >= 4 {
			all = append(all, attached{at: atXDP, id: ebpf.ProgramID(binary.NativeEndian.Uint32(a.Value)), mode: mode})
		}
	}
	return all
}

// linkedTo reports whether a link is among what is attached to a device: one on a device
// that was moved to another network namespace may have the same index there.
func linkedTo(index int, info *link.Info) bool {
	if info.Type == link.XDPType {
		all, err := attachedToXDP(index)
		return err != nil || slices.ContainsFunc(all, func(a attached) bool { return a.id == info.Program })
	}
	all, err := attachedToTCX(index)
	return err != nil || slices.ContainsFunc(all, func(a attached) bool { return a.link == info.ID })
}
