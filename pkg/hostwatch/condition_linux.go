// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// AddressFlags are what the kernel says of an address of the host.
type AddressFlags struct {
	// Tentative is true while duplicate address detection runs, and the address may not
	// be used yet. Failed is true where it found another station.
	Tentative, Failed bool
}

// ReadAddress looks for an IPv6 address on all devices, and returns false where none has
// it. It asks the kernel for this one address, whatever the number of others.
func ReadAddress(a netip.Addr) (AddressFlags, bool, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, 0)
	req.AddData(nl.NewIfAddrmsg(unix.AF_INET6))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, a.AsSlice()))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return AddressFlags{}, false, nil
	case err != nil:
		return AddressFlags{}, false, fmt.Errorf("read address %s: %w", a, err)
	}
	for _, m := range msgs {
		if flags, ok := addressFlags(m); ok {
			return AddressFlags{
				// An optimistic address may be used meanwhile (RFC 4429 §2.1).
				Tentative: flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0,
				Failed:    flags&unix.IFA_F_DADFAILED != 0,
			}, true, nil
		}
	}
	return AddressFlags{}, false, nil
}

// addressFlags returns the flags in the kernel's answer.
func addressFlags(m []byte) (uint32, bool) {
	if len(m) < unix.SizeofIfAddrmsg {
		return 0, false
	}
	attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfAddrmsg:])
	if err != nil {
		return 0, false
	}
	for _, attr := range attrs {
		if attr.Attr.Type == unix.IFA_FLAGS && len(attr.Value) >= 4 {
			return binary.NativeEndian.Uint32(attr.Value), true
		}
	}
	return uint32(m[2]), true // ifa_flags of linux/if_addr.h
}

// Running reports whether there is a device of the name, and whether it is up and has a
// carrier.
func (r *Routes) Running(name string) (running, exists bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	index := r.names[name]
	return r.devices[index].Up, index != 0
}
