// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Neighbor says what the kernel knows of an address on a device.
type Neighbor struct {
	Index   int
	Address netip.Addr
	// Alive is true when the neighbor has just answered, false when it did not
	// or the kernel forgot about it.
	Alive bool
	// Failed is true when the kernel asked in vain.
	Failed bool
}

// The size of struct ndmsg (linux/neighbour.h), and its attributes.
const (
	sizeNdMsg = 12
	ndaDst    = 1
	ndaMaster = 9
)

// neighbor follows an event about a neighbor, or about a MAC address behind a
// port of a bridge.
func (b *batch) neighbor(hdr *unix.NlMsghdr, data []byte) {
	if len(data) < sizeNdMsg {
		return
	}
	n := Neighbor{Index: int(number(data[4:]))}
	bridge := 0
	for kind, v := range attributes(data[sizeNdMsg:]) {
		switch kind {
		case ndaDst:
			n.Address, _ = netip.AddrFromSlice(v)
		case ndaMaster:
			bridge = int(number(v))
		}
	}
	switch data[0] {
	case unix.AF_BRIDGE:
		if bridge != 0 { // else it is a tunnel's
			b.handler.Link(Event{Index: bridge})
		}
	case unix.AF_INET6:
		if !n.Address.Is6() || n.Address.IsMulticast() || n.Address.IsLinkLocalUnicast() {
			return
		}
		state := binary.NativeEndian.Uint16(data[8:])
		n.Alive = hdr.Type == unix.RTM_NEWNEIGH && state&unix.NUD_REACHABLE != 0
		n.Failed = hdr.Type == unix.RTM_NEWNEIGH && state&unix.NUD_FAILED != 0
		b.handler.Neighbor(n)
	}
}
