// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// xdp attaches the program at XDP, of which a device has one hook for one program.
type xdp struct {
	linked
	way ndp.Way
}

// attachXDP attaches the program in the device's driver, or behind it.
func attachXDP(d *device, p *ebpf.Program, way ndp.Way) (hook, error) {
	flags := link.XDPDriverMode
	if way == ndp.WayXDPGeneric {
		flags = link.XDPGenericMode
	}
	id, err := idOf(p)
	if err != nil {
		return nil, err
	}
	l, err := link.AttachXDP(link.XDPOptions{Interface: d.index, Program: p, Flags: flags})
	switch {
	case err == nil:
		return &xdp{linked: linked{l, id}, way: way}, nil
	case errors.Is(err, unix.EOPNOTSUPP) && way == ndp.WayXDP:
		return nil, lasting{fmt.Errorf("the driver of the device has no XDP, of which it says: %w", err)}
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST): // between our look and now
		return nil, errors.Join(fmt.Errorf("attach at XDP: %w", err), d.xdpFree())
	}
	return nil, fmt.Errorf("attach at XDP: %w", err)
}

func (x *xdp) Way() ndp.Way { return x.way }

// Name implements [hook].
func (x *xdp) Name() string {
	if x.way == ndp.WayXDPGeneric {
		return "xdp generic"
	}
	return "xdp native"
}

// xdpUsable returns why the program cannot answer at XDP of a device, nil if nothing is
// known that is in the way.
func (d *device) xdpUsable(way ndp.Way) error {
	if err := d.xdpFree(); err != nil {
		return err
	}
	if err := d.tagsSeen(); err != nil {
		return err
	}
	if way == ndp.WayXDP {
		return d.peerTakesXDP()
	}
	return nil
}

// xdpFree returns an error that names who has the device's XDP hook, nil if nobody has.
func (d *device) xdpFree() error {
	l, err := d.netlink.LinkByIndex(d.index)
	if err != nil {
		return fmt.Errorf("look at the device: %w", err)
	}
	if x := l.Attrs().Xdp; x != nil && x.Attached {
		return fmt.Errorf("the XDP hook is taken by %s, and a device has one", holder(ebpf.ProgramID(x.ProgId), d.index))
	}
	return nil
}

// holder describes a program at XDP as far as the daemon may know: it takes
// CAP_SYS_ADMIN to look at another's program.
func holder(id ebpf.ProgramID, index int) string {
	if id == 0 { // in more than one mode
		return "several programs"
	}
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return fmt.Sprintf("program %d", id)
	}
	defer func() { _ = p.Close() }()
	name := fmt.Sprintf("program %d", id)
	if info, err := p.Info(); err == nil && info.Name != "" {
		name += " (" + info.Name + ")"
	}
	return name + linkOf(id, index)
}

// linkOf tells by what link a program is at a device's XDP hook, if that can be told.
func linkOf(id ebpf.ProgramID, index int) string {
	var links link.Iterator
	defer links.Close()
	for links.Next() {
		info, err := links.Link.Info()
		if err != nil || info.Program != id {
			continue
		}
		if x := info.XDP(); x != nil && int(x.Ifindex) == index {
			return fmt.Sprintf(", attached by bpf_link %d", info.ID)
		}
	}
	if links.Err() != nil {
		return ""
	}
	return ", attached without a bpf_link"
}
