// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// judgment is what a decision rests on, at one moment.
type judgment struct {
	tables  hostwatch.Tables
	policy  *policy
	uplinks map[int32]bool
	// links are the devices at the bottom of the uplinks: the uplinks
	// themselves, unless they are stacked on others.
	links []int32
}

func newJudgment(t hostwatch.Tables, p *policy, uplinks map[int32]bool) judgment {
	v := judgment{tables: t, policy: p, uplinks: uplinks, links: make([]int32, 0, 4)}
	for u := range uplinks {
		v.links = append(v.links, v.bottom(u))
	}
	return v
}

// maxStack bounds how far down the devices below a device are followed. The
// kernel puts a macvlan of a macvlan on the lowest device itself.
const maxStack = 8

// bottom returns the device whose link a device shares.
func (v judgment) bottom(index int32) int32 {
	for range maxStack {
		d, ok := v.tables.Device(index)
		if !ok || d.Link == 0 || v.policy.classify(d) != Stacked {
			break
		}
		index = d.Link
	}
	return index
}

// isDefault reports whether a route is a default route, or one of the parts that
// programs for virtual private networks divide it into, because these go before the
// default route that is there: ::/1 and 8000::/1, 2000::/3, or ::/3, 2000::/4, 3000::/4
// and fc00::/7. Such a route says how the host reaches the rest of the world, and
// nothing of where an address is.
func isDefault(p netip.Prefix) bool { return p.Bits() < 8 }

// entry returns the entry for a route.
func (v judgment) entry(d hostwatch.Decision) rules.Entry {
	paths := v.taken(d.Paths)
	counts := !isDefault(d.Prefix)
	e := rules.Entry{Prefix: d.At, Behind: counts, Forwarded: counts, Neighbor: counts, Attached: counts, Device: paths[0].Index}
	for _, p := range paths {
		forwarded, why := v.judge(p)
		e.Behind = e.Behind && why == ""
		e.Forwarded = e.Forwarded && forwarded
		e.Elsewhere = e.Elsewhere || counts && v.leadsElsewhere(p, d.At)
		device, _ := v.tables.Device(p.Index)
		e.Attached = e.Attached && !p.Gateway.IsValid() && !p.Encap && (device.Neighbors || isPair(device))
		e.Neighbor = e.Neighbor && e.Attached && device.Neighbors
	}
	e.Attached = e.Attached && e.Forwarded
	e.Neighbor = e.Neighbor && e.Attached
	e.Host, e.Hidden = v.host(d)
	return e
}

// leadsElsewhere reports whether a path for a prefix leads to another node of a
// cluster, see [rules.Entry.Elsewhere].
func (v judgment) leadsElsewhere(p hostwatch.Path, at netip.Prefix) bool {
	if p.Kind != unix.RTN_UNICAST {
		return false
	}
	d, _ := v.tables.Device(p.Index)
	gateway := p.Gateway.IsValid()
	switch v.policy.classify(d) {
	case Tunnel:
		return true
	case Overlay:
		return gateway
	case Behind, Stacked, Undecided:
	}
	return v.uplinks[p.Index] || v.onUplinkLink(d) || p.Encap && v.policy.encap == Tunnel || gateway && at.IsSingleIP()
}

// isPair reports whether the far end of a device is another device of this host, in the
// network namespace of a pod: a veth, or a netkit, which has no neighbor discovery in
// its default mode l3.
func isPair(d hostwatch.Device) bool { return d.Kind == "veth" || d.Kind == "netkit" }

// taken returns those of some paths with one metric that a packet from an uplink
// may take. The kernel prefers one out of the device that the packet came in on
// (rt6_score_route), and else the first; of several next hops it may be any, as
// that depends on the packet and on which of them are reachable.
func (v judgment) taken(paths []hostwatch.Path) []hostwatch.Path {
	if len(paths) == 1 {
		return paths
	}
	var back []hostwatch.Path
	for _, p := range paths {
		if p.Kind == unix.RTN_UNICAST && v.uplinks[p.Index] {
			back = append(back, p)
		}
	}
	switch {
	case len(back) > 0 && len(back) < len(paths):
		return back
	case !paths[0].Joins():
		return paths[:1]
	}
	return slices.DeleteFunc(slices.Clone(paths), func(p hostwatch.Path) bool { return !p.Joins() })
}

// anyBack reports whether one of the paths leads back to the link of an uplink.
func (v judgment) anyBack(paths []hostwatch.Path) bool {
	return slices.ContainsFunc(paths, func(p hostwatch.Path) bool {
		if p.Kind != unix.RTN_UNICAST {
			return false
		}
		d, _ := v.tables.Device(p.Index)
		return v.uplinks[p.Index] || v.onUplinkLink(d)
	})
}

// onUplinkLink reports whether a device shares the link of an uplink, so that its
// neighbors answer the uplink's solicitations themselves: it is stacked on the same
// device, or a port of it. An ipvlan in the mode l3 has no neighbor discovery, and
// nobody there answers.
func (v judgment) onUplinkLink(d hostwatch.Device) bool {
	return d.Neighbors && (slices.Contains(v.links, v.bottom(d.Index)) || v.isPort(d))
}

// isPort reports whether a device is a port of a bridge, a bond or a team whose link
// is an uplink's. A VRF shares no link with the devices in it.
func (v judgment) isPort(d hostwatch.Device) bool {
	if d.Master == 0 || !slices.Contains(v.links, d.Master) {
		return false
	}
	master, _ := v.tables.Device(d.Master)
	return master.Kind != "vrf"
}

// judge reports whether packets that take a path leave by a device that shares no
// link with an uplink, and why the path does not lead behind this node, "" where it
// does.
func (v judgment) judge(p hostwatch.Path) (forwarded bool, why string) {
	switch {
	case p.Kind == unix.RTN_LOCAL:
		return false, "leads to this host itself, and the kernel answers for the address"
	case p.Kind != unix.RTN_UNICAST:
		return false, "is of the type " + p.TypeName()
	case p.Index == 0:
		return false, "has a next hop object that the kernel does not show: set net.ipv4.nexthop_compat_mode to 1"
	}
	forwarded, why = v.judgeDevice(p.Index, p.Gateway.IsValid())
	switch {
	case why != "":
		why = "leads " + why
	case p.Encap && v.policy.encap == Tunnel:
		why = "encapsulates packets for another node"
	}
	return forwarded, why
}

// judgeDevice is judge for what is routed to a device. gateway is true for what has
// a next hop there.
func (v judgment) judgeDevice(index int32, gateway bool) (forwarded bool, why string) {
	d, ok := v.tables.Device(index)
	switch {
	case !ok:
		return false, "through a device that is unknown"
	case d.Loopback:
		return false, "to this node itself"
	case v.uplinks[index]:
		return false, "through an uplink"
	case v.onUplinkLink(d):
		return false, "through a device on the link of an uplink (" + d.Kind + ")"
	}
	switch v.policy.classify(d) {
	case Tunnel:
		return true, "through a tunnel (" + d.Kind + ")"
	case Undecided:
		return true, "to a device that the network plugin routes the pods of every node to, so it does not tell which node has the address"
	case Overlay:
		if gateway {
			return true, "through the network plugin's device to other nodes"
		}
	case Behind, Stacked:
	}
	return true, ""
}
