// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Neighbor says what the kernel knows of an IPv6 address on a device.
type Neighbor struct {
	// Index is the device's.
	Index   int
	Address netip.Addr
	// State is NUD_* of linux/neighbour.h, 0 when the kernel forgot about it.
	State uint16
	// Alive is true when the neighbor has just answered, false when it did not
	// or the kernel forgot about it.
	Alive bool
	// Failed is true when the kernel asked in vain.
	Failed bool
}

// Known reports whether the kernel has a MAC address for the neighbor, which it
// may not have verified lately.
func (n Neighbor) Known() bool {
	return n.State&(unix.NUD_REACHABLE|unix.NUD_STALE|unix.NUD_DELAY|unix.NUD_PROBE|unix.NUD_PERMANENT) != 0
}

// The size of struct ndmsg (linux/neighbour.h), and its attributes.
const (
	sizeNdMsg = 12
	ndaDst    = 1
	ndaLLAddr = 2
	ndaVLAN   = 5
	ndaMaster = 9
)

// parseNeighbor reads the body of a message about an IPv6 neighbor, and returns
// false for any other, and for addresses that are never a target: multicast and
// link-local ones.
func parseNeighbor(b []byte, gone bool) (Neighbor, bool) {
	if len(b) < sizeNdMsg || b[0] != unix.AF_INET6 {
		return Neighbor{}, false
	}
	n := Neighbor{Index: int(number(b[4:]))}
	for kind, v := range attributes(b[sizeNdMsg:]) {
		if kind == ndaDst {
			n.Address, _ = netip.AddrFromSlice(v)
		}
	}
	if !n.Address.Is6() || n.Address.IsMulticast() || n.Address.IsLinkLocalUnicast() {
		return Neighbor{}, false
	}
	if !gone {
		n.State = binary.NativeEndian.Uint16(b[8:])
		n.Alive, n.Failed = n.State&unix.NUD_REACHABLE != 0, n.State&unix.NUD_FAILED != 0
	}
	return n, true
}

// parseStation reads the body of a message about an entry of a bridge's
// forwarding table, and returns false for any other, such as a tunnel's.
func parseStation(b []byte) (bridge, port int32, s station, ok bool) {
	if len(b) < sizeNdMsg || b[0] != unix.AF_BRIDGE {
		return 0, 0, station{}, false
	}
	port = int32(number(b[4:])) //nolint:gosec // the kernel's int
	mac := false
	for kind, v := range attributes(b[sizeNdMsg:]) {
		switch kind {
		case ndaLLAddr:
			if mac = len(v) == 6; mac {
				s.mac = [6]byte(v)
			}
		case ndaVLAN:
			if len(v) >= 2 {
				s.vlan = binary.NativeEndian.Uint16(v)
			}
		case ndaMaster:
			bridge = int32(number(v)) //nolint:gosec // the kernel's int
		}
	}
	return bridge, port, s, mac && bridge != 0
}

// ReadNeighbors returns the kernel's IPv6 neighbor table, without multicast and
// link-local addresses. It needs no privilege.
func ReadNeighbors() ([]Neighbor, error) { return readNeighbors(host{}) }

func readNeighbors(k kernel) ([]Neighbor, error) {
	var list []Neighbor
	err := k.neighbors(unix.AF_INET6, func(b []byte) {
		if n, ok := parseNeighbor(b, false); ok {
			list = append(list, n)
		}
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
