// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
)

// host reports whether this host itself takes the packets for a route, so that an
// answer on the uplinks would be right, and whether it keeps the addresses from
// neighbor discovery on purpose.
//
// The kernel answers a solicitation for the addresses of the device that it came in
// on, and for no others that the host has: neither for those of another device nor
// for a prefix with a route of the type local (ndisc_recv_ns). An address has such
// a route as well, which the kernel has made. So a local route to an uplink, or to a
// device on its link, counts only if somebody else has made it.
func (v judgment) host(d hostwatch.Decision) (host, hidden bool) {
	a := d.Prefix.Addr()
	if isDefault(d.Prefix) || a.IsLoopback() || a.IsUnspecified() {
		return false, false
	}
	for _, p := range d.Paths {
		if p.Kind != unix.RTN_LOCAL {
			return false, false
		}
		device, ok := v.tables.Device(p.Index)
		if !ok || p.Proto == unix.RTPROT_KERNEL && (v.uplinks[p.Index] || v.onUplinkLink(device)) {
			return false, false
		}
		hidden = hidden || v.policy.hidden[device.Name]
	}
	return true, hidden
}
