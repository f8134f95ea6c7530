// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Outside says where the kernel sends packets for addresses of the internet.
type Outside struct {
	// Known is false where more than one route may decide, or one of a table that
	// is not followed: then the rest says nothing.
	Known bool
	// Route is the route, as "ip -6 route" shows it, and "" for none.
	Route string
	// Devices are the indices of those that packets leave by. A route without them
	// refuses the packets.
	Devices []int
}

// globalUnicast is what IANA assigns global addresses from (RFC 4291 §2.4).
func globalUnicast() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20}), 3) }

// Outside returns where packets for addresses outside go, for whoever follows the
// tables that packets from the uplink of that index are routed by.
func (r *Routes) Outside(uplink int) Outside {
	r.mu.RLock()
	defer r.mu.RUnlock()
	// Replies arrive on the devices behind the node, and not on the uplink.
	t := Tables{r, r.lookups[0]}.From(Origin{})
	if master, ok := r.devices[r.devices[int32(uplink)].Master]; ok && master.Kind == "vrf" { //nolint:gosec // the kernel's int
		return Outside{} // which has a table of its own
	}
	d, ok := t.Decide(globalUnicast())
	if !ok {
		return Outside{Known: !r.anyGateway(uplink)}
	}
	o := Outside{Known: true, Route: t.Format(d)}
	for _, p := range d.Paths {
		if p.Kind == unix.RTN_UNICAST && p.Index != 0 {
			o.Devices = append(o.Devices, int(p.Index))
		}
	}
	return o
}

// anyGateway reports whether a route with a next hop leads through a device, or a
// default route of any table through any.
func (r *Routes) anyGateway(index int) bool {
	for hop := range r.hops {
		if int(hop.index) == index {
			return true
		}
	}
	return len(r.defaults()) > 0
}
