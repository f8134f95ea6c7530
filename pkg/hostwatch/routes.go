// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Routes is a copy of the routing tables that the kernel looks at for every
// packet, in its order. Tables that policy rules choose by more than that, by a
// mark, a source or an interface, are not followed; Policy names these rules.
type Routes struct {
	mu         sync.Mutex
	order      []uint32          // tables, as the kernel looks at them
	tables     map[uint32]*table // those of order
	policy     []string          // rules that are not followed
	devices    map[int32]device
	uplinks    map[int32]bool
	several    int  // how often a route with several next hops was seen
	silent     bool // net.ipv6.route.skip_notify_on_dev_down
	hostRoutes []HostRoute
	// How many paths have each next hop, and each on-link prefix.
	hops   map[hop]int
	onLink map[onLink]int
	shared map[path]*[]path // lists of one path
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
		devices: make(map[int32]device), uplinks: make(map[int32]bool),
		hops: make(map[hop]int), onLink: make(map[onLink]int), shared: make(map[path]*[]path),
	}
}

// apply follows one message, and returns the prefixes whose entries it may
// change. unsure is true where the message does not tell all: which of several
// routes of one metric is replaced, and where among them a new one stands.
func (r *Routes) apply(msg route, flags uint16, gone bool) (changed []netip.Prefix, unsure bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tables[msg.table]
	if t == nil {
		t = new(table)
		r.tables[msg.table] = t
	}
	if len(msg.paths) > 1 {
		r.several++
	}
	before := t.get(msg.prefix)
	var after []path
	if gone {
		after = without(before, msg)
	} else {
		after = with(before, msg, flags&unix.NLM_F_REPLACE != 0)
	}
	t.set(msg.prefix, after, r.shared)
	r.count(msg.prefix, before, -1)
	r.count(msg.prefix, after, 1)
	at := slices.Index(r.order, msg.table)
	if at < 0 { // looked at for its next hops only
		return nil, false
	}
	changed = []netip.Prefix{msg.prefix}
	for _, id := range r.order[at+1:] { // what it may hide
		for p := range r.tables[id].paths.Subnets(msg.prefix) {
			changed = append(changed, p)
		}
	}
	return changed, mixed(before) || mixed(after)
}

// count counts the next hops and on-link prefixes of a prefix's paths.
func (r *Routes) count(p netip.Prefix, paths []path, n int) {
	for _, path := range paths {
		switch {
		case path.kind != unix.RTN_UNICAST || path.index == 0:
		case path.gateway.IsValid():
			add(r.hops, hop{path.index, path.gateway}, n)
		case p.Bits() > 0 && p.Bits() < 128 && isGlobal(p):
			add(r.onLink, onLink{path.index, p}, n)
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

// setDevice takes a device's facts over, or that it is gone. It reports whether
// that changes what routes through it mean, and whether the device went up or
// down.
func (r *Routes) setDevice(index int32, d device, gone bool) (changed, flipped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.devices[index]
	if gone {
		delete(r.devices, index)
	} else {
		r.devices[index] = d
	}
	flipped = gone || old.up != d.up
	old.up = d.up
	// A new device has no routes yet, and those of a deleted one go by events.
	return !gone && old.name != "" && old != d, flipped
}

// uses reports whether a route leads through the device.
func (r *Routes) uses(index int32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.order {
		for _, paths := range r.tables[id].paths.All() {
			if slices.ContainsFunc(*paths, func(p path) bool { return p.index == index }) {
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

// SetUplinks names the devices that do not lead behind us, and reports whether
// that was news: then every entry may have changed.
func (r *Routes) SetUplinks(indices []int) bool {
	uplinks := make(map[int32]bool, len(indices))
	for _, i := range indices {
		uplinks[int32(i)] = true //nolint:gosec // an index
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if maps.Equal(r.uplinks, uplinks) {
		return false
	}
	r.uplinks = uplinks
	return true
}

// Entry returns the entry for exactly this prefix, and false when the tables
// have no route for it, or none that the kernel gets to see.
func (r *Routes) Entry(p netip.Prefix) (rules.Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.entry(p)
}

func (r *Routes) entry(p netip.Prefix) (rules.Entry, bool) {
	at, paths, _, ok := r.decide(p)
	if !ok || at != p {
		return rules.Entry{}, false
	}
	e := rules.Entry{Prefix: p, Behind: p.Bits() > 0, Neighbor: true, Device: paths[0].index}
	for _, path := range paths {
		if r.why(path) != "" {
			e.Behind = false
		}
		e.Neighbor = e.Neighbor && !path.gateway.IsValid() && r.devices[path.index].neighbors
	}
	e.Neighbor = e.Neighbor && e.Behind
	return e, true
}

// decide returns what the kernel takes for a prefix as a whole: the most
// specific route of the first table that has one.
func (r *Routes) decide(p netip.Prefix) (at netip.Prefix, paths []path, id uint32, ok bool) {
	for _, id = range r.order {
		if at, paths, ok = r.tables[id].covering(p); ok {
			return at, r.taken(paths), id, true
		}
	}
	return at, nil, 0, false
}

// taken returns those of some paths with one metric that a packet from an uplink
// may take. The kernel prefers one out of the device that the packet came in on
// (rt6_score_route), and else the first; of several next hops it may be any, as
// that depends on the packet and on who is reachable.
func (r *Routes) taken(paths []path) []path {
	var back []path
	for _, p := range paths {
		if p.kind == unix.RTN_UNICAST && r.uplinks[p.index] {
			back = append(back, p)
		}
	}
	switch {
	case len(back) > 0 && len(back) < len(paths):
		return back
	case len(paths) > 0 && !paths[0].joins():
		return paths[:1]
	}
	return slices.DeleteFunc(slices.Clone(paths), func(p path) bool { return !p.joins() })
}

// why tells why a path does not lead behind us, "" where it does.
func (r *Routes) why(p path) string {
	switch {
	case p.kind != unix.RTN_UNICAST:
		return "is of the type " + typeName(p.kind)
	case p.encap:
		return "encapsulates packets for another node"
	case p.index == 0:
		return "has a next hop object that the kernel does not show: set net.ipv4.nexthop_compat_mode to 1"
	}
	if why := r.devices[p.index].away(p.gateway.IsValid(), r.uplinks[p.index]); why != "" {
		return "leads " + why
	}
	return ""
}

// All yields all entries. The routes must not be changed meanwhile.
func (r *Routes) All() iter.Seq[rules.Entry] {
	return func(yield func(rules.Entry) bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, id := range r.order {
			for p := range r.tables[id].paths.All() {
				if _, _, first, _ := r.decide(p); first != id {
					continue // comes with the other table, or is hidden by it
				}
				if e, ok := r.entry(p); ok && !yield(e) {
					return
				}
			}
		}
	}
}

// Policy returns the policy rules that are not followed, for people.
func (r *Routes) Policy() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policy
}

// deviceName names a device for people.
func (r *Routes) deviceName(index int32) string {
	if d := r.devices[index]; d.name != "" {
		return d.name
	}
	return strconv.Itoa(int(index))
}
