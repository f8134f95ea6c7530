// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Routes is a copy of the routing tables that the kernel looks at for every
// packet, in its order. Tables that policy rules choose by more than that, by a
// mark, a source or an interface, are not followed; Policy names these rules.
type Routes struct {
	mu         sync.RWMutex
	order      []uint32          // tables, as the kernel looks at them
	tables     map[uint32]*table // those of order
	policy     []string          // rules that are not followed
	devices    map[int32]Device
	several    int  // how often a route with several next hops was seen
	silent     bool // net.ipv6.route.skip_notify_on_dev_down
	hostRoutes []HostRoute
	// How many paths have each next hop, and each on-link prefix.
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
	return &Routes{
		order:   []uint32{unix.RT_TABLE_LOCAL, unix.RT_TABLE_MAIN},
		tables:  map[uint32]*table{unix.RT_TABLE_LOCAL: new(table), unix.RT_TABLE_MAIN: new(table)},
		devices: make(map[int32]Device),
		hops:    make(map[hop]int), onLink: make(map[onLink]int), shared: make(map[Path]*[]Path),
	}
}

// Apply follows one message, and returns the prefixes for which the kernel may
// decide otherwise now. flags are those of the netlink header; gone is true for
// RTM_DELROUTE. unsure is true where the message does not tell all: which of
// several routes of one metric is replaced, and where among them a new one
// stands.
func (r *Routes) Apply(msg Route, flags uint16, gone bool) (changed []netip.Prefix, unsure bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tables[msg.Table]
	if t == nil {
		t = new(table)
		r.tables[msg.Table] = t
	}
	if len(msg.Paths) > 1 {
		r.several++
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
	at := slices.Index(r.order, msg.Table)
	if at < 0 { // looked at for its next hops only
		return nil, false
	}
	changed = []netip.Prefix{msg.Prefix}
	for _, id := range r.order[at+1:] { // what it may hide
		for p := range r.tables[id].paths.Subnets(msg.Prefix) {
			changed = append(changed, p)
		}
	}
	return changed, mixed(before) || mixed(after)
}

// count counts the next hops and on-link prefixes of a prefix's paths.
func (r *Routes) count(p netip.Prefix, paths []Path, n int) {
	for _, path := range paths {
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

// replace takes a whole reading over.
func (r *Routes) replace(n *Routes) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order, r.tables, r.policy, r.devices, r.several = n.order, n.tables, n.policy, n.devices, n.several
	r.hops, r.onLink, r.shared, r.silent = n.hops, n.onLink, n.shared, n.silent
}

// SetDevice takes over what the kernel says of a device, or that it is gone. It
// reports whether that changes what routes through it mean, and whether the
// device went up or down.
func (r *Routes) SetDevice(d Device, gone bool) (changed, flipped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.devices[d.Index]
	if gone {
		delete(r.devices, d.Index)
	} else {
		r.devices[d.Index] = d
	}
	flipped = gone || old.Up != d.Up
	old.Up = d.Up
	// A new device has no routes yet, and those of a deleted one go by events.
	return !gone && old.Name != "" && old != d, flipped
}

// uses reports whether a route leads through the device.
func (r *Routes) uses(index int32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.order {
		for _, paths := range r.tables[id].paths.All() {
			if slices.ContainsFunc(*paths, func(p Path) bool { return p.Index == index }) {
				return true
			}
		}
	}
	return false
}

// losesSilently reports whether the kernel may leave it unsaid that routes go, or
// next hops of them, when a device goes down.
func (r *Routes) losesSilently() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.several > 0 || r.silent
}

// Policy returns the policy rules that are not followed, for people.
func (r *Routes) Policy() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.policy
}
