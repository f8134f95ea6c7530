// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Route is an rtnetlink message about an IPv6 route.
type Route struct {
	Table    uint32 // its number, with sourceTable for routes of some sources
	Protocol uint8  // RTPROT_*: who made it
	Prefix   netip.Prefix
	// Whole is true when Paths are all the next hops that the route has.
	Whole bool
	// Object is true when the route has a next hop object, of which a message
	// about its end may name a part only.
	Object bool
	Paths  []Path
	// Several are the devices of a route with several next hops, those that are
	// dead with their device too.
	Several []int32
}

// Path is one way that a routing table has for a prefix.
type Path struct {
	Metric uint32
	Kind   uint8 // RTN_* of linux/rtnetlink.h
	Proto  uint8 // RTPROT_*: who made the route
	// Encap is true when the kernel encapsulates the packet (RTA_ENCAP).
	Encap bool
	// Index is that of the device, 0 where the kernel does not tell.
	Index int32
	// Gateway is the next hop, and invalid for what is on-link.
	Gateway netip.Addr
}

// Joins reports whether the path has a next hop: the kernel joins such routes of
// one metric into one with several next hops (rt6_qualify_for_ecmp).
func (p Path) Joins() bool { return p.Gateway.IsValid() }

// same reports whether two paths are the same to the kernel.
func (p Path) same(o Path) bool {
	return p.Metric == o.Metric && p.Kind == o.Kind && p.Index == o.Index && p.Gateway == o.Gateway
}

// Sizes of rtnetlink structures (linux/rtnetlink.h).
const (
	sizeRtMsg = 12
	sizeRtNh  = 8
	rtaNHID   = 30 // RTA_NH_ID
)

// sourceTable is added to the number of a table for routes that hold for some
// sources only (RFC 8678). These are not followed, but their next hops count.
const sourceTable = 1 << 31

// parseRoute reads the body of RTM_NEWROUTE and RTM_DELROUTE. It returns false
// for what is not a route of the IPv6 tables: other families and cached clones.
func parseRoute(b []byte) (Route, bool) {
	if len(b) < sizeRtMsg || b[0] != unix.AF_INET6 || b[1] > 128 || number(b[8:])&unix.RTM_F_CLONED != 0 {
		return Route{}, false
	}
	r := Route{Table: uint32(b[4]), Protocol: b[5]}
	single := Path{Kind: b[7], Proto: b[5]}
	dst, several := netip.IPv6Unspecified(), []byte(nil)
	for kind, v := range attributes(b[sizeRtMsg:]) {
		switch kind {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(v)
		case unix.RTA_TABLE:
			r.Table = number(v)
		case unix.RTA_PRIORITY:
			single.Metric = number(v)
		case unix.RTA_OIF:
			single.Index = int32(number(v)) //nolint:gosec // the kernel's int
		case unix.RTA_GATEWAY:
			single.Gateway, _ = netip.AddrFromSlice(v)
		case unix.RTA_ENCAP:
			single.Encap = true
		case unix.RTA_MULTIPATH:
			several = v
		case rtaNHID:
			r.Whole, r.Object = true, true
		}
	}
	if b[2] != 0 {
		r.Table |= sourceTable
	}
	var err error
	if r.Prefix, err = dst.Prefix(int(b[1])); err != nil || !dst.Is6() {
		return Route{}, false
	}
	if several == nil {
		if number(b[8:])&unix.RTNH_F_DEAD == 0 {
			r.Paths = []Path{single}
		}
		return r, len(r.Paths) > 0
	}
	r.Whole = true
	r.Paths, r.Several = parseHops(several, single)
	return r, true
}

// parseHops reads RTA_MULTIPATH, a list of struct rtnexthop with attributes. Next
// hops that are dead with their device are left out; devices has theirs, too.
func parseHops(b []byte, common Path) (paths []Path, devices []int32) {
	for len(b) >= sizeRtNh {
		n := int(binary.NativeEndian.Uint16(b))
		if n < sizeRtNh || n > len(b) {
			break
		}
		p := common
		p.Index = int32(number(b[4:])) //nolint:gosec // the kernel's int
		for kind, v := range attributes(b[sizeRtNh:n]) {
			switch kind {
			case unix.RTA_GATEWAY:
				p.Gateway, _ = netip.AddrFromSlice(v)
			case unix.RTA_ENCAP:
				p.Encap = true
			}
		}
		if b[2]&unix.RTNH_F_DEAD == 0 {
			paths = append(paths, p)
		}
		devices = append(devices, p.Index)
		b = b[min(len(b), align(n)):]
	}
	return paths, devices
}
