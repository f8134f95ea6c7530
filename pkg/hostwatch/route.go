// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// route is one rtnetlink message about an IPv6 route.
type route struct {
	table    uint32
	protocol uint8 // who made it
	prefix   netip.Prefix
	// whole is true when paths are all the next hops that the route has.
	whole bool
	// object is true when the route has a next hop object, of which a message
	// about its end may name a part only.
	object bool
	paths  []path
}

// path is one way that a table has for a prefix.
type path struct {
	metric  uint32
	kind    uint8 // RTN_*
	proto   uint8 // RTPROT_*, who made it
	encap   bool  // the packet is encapsulated (RTA_ENCAP)
	index   int32 // of the device; 0 where the kernel does not tell
	gateway netip.Addr
}

// same reports whether two paths are the same to the kernel.
func (p path) same(o path) bool {
	return p.metric == o.metric && p.kind == o.kind && p.index == o.index && p.gateway == o.gateway
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
func parseRoute(b []byte) (route, bool) {
	if len(b) < sizeRtMsg || b[0] != unix.AF_INET6 || b[1] > 128 || number(b[8:])&unix.RTM_F_CLONED != 0 {
		return route{}, false
	}
	r := route{table: uint32(b[4]), protocol: b[5]}
	single := path{kind: b[7], proto: b[5]}
	dst, several := netip.IPv6Unspecified(), []byte(nil)
	for kind, v := range attributes(b[sizeRtMsg:]) {
		switch kind {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(v)
		case unix.RTA_TABLE:
			r.table = number(v)
		case unix.RTA_PRIORITY:
			single.metric = number(v)
		case unix.RTA_OIF:
			single.index = int32(number(v)) //nolint:gosec // the kernel's int
		case unix.RTA_GATEWAY:
			single.gateway, _ = netip.AddrFromSlice(v)
		case unix.RTA_ENCAP:
			single.encap = true
		case unix.RTA_MULTIPATH:
			several = v
		case rtaNHID:
			r.whole, r.object = true, true
		}
	}
	if b[2] != 0 {
		r.table |= sourceTable
	}
	var err error
	if r.prefix, err = dst.Prefix(int(b[1])); err != nil || !dst.Is6() {
		return route{}, false
	}
	if several == nil {
		if number(b[8:])&unix.RTNH_F_DEAD == 0 {
			r.paths = []path{single}
		}
		return r, len(r.paths) > 0
	}
	r.whole = true
	r.paths = parseHops(several, single)
	return r, true
}

// parseHops reads RTA_MULTIPATH, a list of struct rtnexthop with attributes. Next
// hops that are dead with their device are left out.
func parseHops(b []byte, common path) []path {
	var paths []path
	for len(b) >= sizeRtNh {
		n := int(binary.NativeEndian.Uint16(b))
		if n < sizeRtNh || n > len(b) {
			break
		}
		p := common
		p.index = int32(number(b[4:])) //nolint:gosec // the kernel's int
		for kind, v := range attributes(b[sizeRtNh:n]) {
			switch kind {
			case unix.RTA_GATEWAY:
				p.gateway, _ = netip.AddrFromSlice(v)
			case unix.RTA_ENCAP:
				p.encap = true
			}
		}
		if b[2]&unix.RTNH_F_DEAD == 0 {
			paths = append(paths, p)
		}
		b = b[min(len(b), align(n)):]
	}
	return paths
}
