// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// Routes is a copy of the routing tables, of the policy rules by which the kernel
// chooses one, and of the devices that routes lead to. Rules that select by what only
// some packets from a device have, such as their source or a mark, are not followed;
// Policy names these. Link-local and multicast routes are left out.
type Routes struct {
	mu     sync.RWMutex
	tables map[uint32]*table
	policy []policyRule // in the kernel's order
	// origins are those that are followed, lookups what the rules make of them, each
	// once, and lookupOf the index of that of each origin. version counts changes.
	origins  []Origin
	lookups  []Lookup
	lookupOf []int
	version  uint64
	unsure   []string // rules that are not followed

	devices map[int32]Device
	names   map[string]int32 // indices of devices
	// silent is net.ipv6.route.skip_notify_on_dev_down.
	silent bool
	// several are the devices of routes with several next hops.
	several    map[int32]bool
	hostRoutes []HostRoute
	// How many paths have each device, each next hop, and each on-link prefix.
	uses   map[int32]int
	hops   map[hop]int
	onLink map[onLink]int
	shared map[Path]*[]Path // lists of one path
}

// hop is a next hop on a device.
type hop struct {
	index   int32
	gateway netip.Addr
}

// onLink is a prefix whose addresses a device reaches without a next hop.
type onLink struct {
	index  int32
	prefix netip.Prefix
}

// NewRoutes returns the copy of tables without a route.
func NewRoutes() *Routes {
	r := &Routes{
		tables:  make(map[uint32]*table),
		policy:  []policyRule{plainRule(0, unix.RT_TABLE_LOCAL), plainRule(32766, unix.RT_TABLE_MAIN)},
		devices: make(map[int32]Device), names: make(map[string]int32),
		several: make(map[int32]bool), uses: make(map[int32]int),
		hops: make(map[hop]int), onLink: make(map[onLink]int), shared: make(map[Path]*[]Path),
	}
	r.resolve()
	return r
}

// Apply follows one message, and returns the prefixes for which the kernel may
// decide otherwise now. flags are those of the netlink header; gone is true for
// RTM_DELROUTE. unsure is true where the message does not tell which of several
// routes of one metric is replaced. A new one always comes after those of its
// metric (fib6_add_rt2node of the kernel).
func (r *Routes) Apply(msg Route, flags uint16, gone bool) (changed []netip.Prefix, unsure bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if isOfLink(msg.Prefix) {
		return nil, false
	}
	t := r.table(msg.Table)
	for _, index := range msg.Several {
		r.several[index] = true
	}
	before := t.get(msg.Prefix)
	var after []Path
	if gone {
		after = without(before, msg)
	} else {
		after = with(before, msg, flags&unix.NLM_F_REPLACE != 0)
	}
	t.set(msg.Prefix, after, r.shared)
	r.count(msg.Prefix, before, -1)
	r.count(msg.Prefix, after, 1)
	t.throws += throws(after) - throws(before)
	if changed = r.affected(msg.Table, msg.Prefix); changed == nil { // kept for its next hops only
		return nil, false
	}
	return changed, flags&unix.NLM_F_REPLACE != 0 && (mixed(before) || mixed(after))
}

// isOfLink reports whether all addresses of a prefix are link-local or multicast:
// each device has such a route, and none of them says anything about where an
// address lives. So the tables are kept without.
func isOfLink(p netip.Prefix) bool {
	return p.Bits() >= 10 && p.Addr().IsLinkLocalUnicast() || p.Bits() >= 8 && p.Addr().IsMulticast()
}

// count counts the devices, next hops and on-link prefixes of a prefix's paths.
func (r *Routes) count(p netip.Prefix, paths []Path, n int) {
	for _, path := range paths {
		if path.Index != 0 {
			add(r.uses, path.Index, n)
		}
		switch {
		case path.Kind != unix.RTN_UNICAST || path.Index == 0:
		case path.Gateway.IsValid():
			add(r.hops, hop{path.Index, path.Gateway}, n)
		case p.Bits() > 0 && p.Bits() < 128 && isGlobal(p):
			add(r.onLink, onLink{path.Index, p}, n)
		}
	}
}

// add adds to a number that is not kept when it is 0.
func add[K comparable](m map[K]int, k K, n int) {
	if m[k] += n; m[k] == 0 {
		delete(m, k)
	}
}

// replace takes a whole reading over, and returns the devices that it has no
// longer.
func (r *Routes) replace(n *Routes) (gone []Device) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for index, d := range r.devices {
		if _, ok := n.devices[index]; !ok {
			gone = append(gone, d)
		}
	}
	r.tables, r.policy, r.devices, r.names, r.several = n.tables, n.policy, n.devices, n.names, n.several
	r.uses, r.hops, r.onLink, r.shared, r.silent = n.uses, n.hops, n.onLink, n.shared, n.silent
	r.resolve()
	return gone
}

// SetDevice takes over what the kernel says of a device, or that it is gone.
// changed is true when that changes what routes through it mean. unsure is true
// when the device went up or down and the kernel may leave it unsaid that routes
// go then, or come back, or next hops of them.
func (r *Routes) SetDevice(d Device, gone bool) (changed, unsure bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.devices[d.Index]
	if r.names[old.Name] == d.Index {
		delete(r.names, old.Name)
	}
	if gone {
		delete(r.devices, d.Index)
	} else {
		r.devices[d.Index], r.names[d.Name] = d, d.Index
	}
	used := r.uses[d.Index] > 0
	if gone || old.Up != d.Up {
		unsure = r.several[d.Index] || r.silent && used
	}
	old.Up = d.Up
	// A new device has no routes yet, and those of a deleted one go by events.
	changed = used && !gone && old.Name != "" && old != d
	if gone || old != d {
		changed = r.resolve() || changed
	}
	return changed, unsure
}
