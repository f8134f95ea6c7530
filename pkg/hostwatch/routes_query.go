// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// defaults returns the paths of the default route in the order in which the
// kernel prefers them, of the first table that has one; else those of the tables
// that are not followed, such as default routes for some sources.
func (r *Routes) defaults() []path {
	of := func(id uint32) []path {
		return slices.DeleteFunc(slices.Clone(r.tables[id].get(netip.PrefixFrom(netip.IPv6Unspecified(), 0))),
			func(p path) bool { return p.kind != unix.RTN_UNICAST || p.index == 0 })
	}
	for _, id := range r.order {
		if paths := of(id); len(paths) > 0 {
			return paths
		}
	}
	var others []path
	for _, id := range slices.Sorted(maps.Keys(r.tables)) {
		others = append(others, of(id)...)
	}
	return others
}

// DefaultByRA reports whether a default route through the device with that index
// comes from router advertisements.
func (r *Routes) DefaultByRA(index int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.defaults(), func(p path) bool { return int(p.index) == index && p.proto == unix.RTPROT_RA })
}

// DefaultDevices returns the names of the devices that carry an IPv6 default
// route and can have neighbors, in the order in which the kernel prefers them.
func (r *Routes) DefaultDevices() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, p := range r.defaults() {
		if d := r.devices[p.index]; d.neighbors && !slices.Contains(names, d.name) {
			names = append(names, d.name)
		}
	}
	return names
}

// Index returns the index of the device with that name, 0 for none.
func (r *Routes) Index(name string) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, d := range r.devices {
		if d.name == name {
			return i
		}
	}
	return 0
}

// Name returns the name of the device with that index, or the index as text.
func (r *Routes) Name(index int32) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deviceName(index)
}

// Has reports whether there is a device with that index.
func (r *Routes) Has(index int32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.devices[index]
	return ok
}

// Hops are the next hops of routes through one device.
type Hops struct {
	// All are of any route, in order.
	All []netip.Addr
	// Default are those of the default route.
	Default []netip.Addr
	// OnLink are the global prefixes whose addresses the device reaches
	// without a next hop, in order.
	OnLink []netip.Prefix
}

// HopsOf returns the next hops and on-link prefixes of the device with that
// index.
func (r *Routes) HopsOf(index int) Hops {
	r.mu.Lock()
	defer r.mu.Unlock()
	var h Hops
	for hop := range r.hops {
		if int(hop.index) == index {
			h.All = append(h.All, hop.gateway)
		}
	}
	for o := range r.onLink {
		if int(o.index) == index {
			h.OnLink = append(h.OnLink, o.prefix)
		}
	}
	for _, p := range r.defaults() {
		if int(p.index) == index && p.gateway.IsValid() {
			h.Default = append(h.Default, p.gateway)
		}
	}
	slices.SortFunc(h.All, netip.Addr.Compare)
	slices.SortFunc(h.OnLink, netip.Prefix.Compare)
	return h
}

// LeadsBack reports whether packets for the prefix as a whole go back out of an
// uplink, or have no way at all.
func (r *Routes) LeadsBack(p netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, paths, _, ok := r.decide(p)
	return !ok || slices.ContainsFunc(paths, func(p path) bool { return p.kind == unix.RTN_UNICAST && r.uplinks[p.index] })
}

// LeadsBehind reports whether any address of the prefix is behind us.
func (r *Routes) LeadsBehind(p netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, _, _, ok := r.decide(p); ok {
		if e, ok := r.entry(at); ok && e.Behind {
			return true
		}
	}
	for _, id := range r.order {
		for q := range r.tables[id].paths.Subnets(p) {
			if e, ok := r.entry(q); ok && e.Behind {
				return true
			}
		}
	}
	return false
}

// isGlobal reports whether a prefix can be that of a provider's link.
func isGlobal(p netip.Prefix) bool {
	a := p.Addr()
	return !a.IsMulticast() && !a.IsLinkLocalUnicast() && !a.IsLoopback() && !a.IsUnspecified()
}

// Explanation is what the copy of the kernel's tables says about an address.
type Explanation struct {
	// Route is the route that decides, as "ip -6 route" shows it, "" for none.
	Route string `json:"route,omitempty"`
	// Table is the table that has it.
	Table uint32 `json:"table,omitempty"`
	// Behind is true when the route leads behind us, and Why tells why not.
	Behind bool   `json:"behind"`
	Why    string `json:"why,omitempty"`
	// NotFollowed are policy rules that may make the kernel decide otherwise.
	NotFollowed []string `json:"not_followed,omitempty"`
}

// Explain tells how the entry for an address comes about.
func (r *Routes) Explain(a netip.Addr) Explanation {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := Explanation{NotFollowed: r.policy}
	p, paths, id, ok := r.decide(netip.PrefixFrom(a, a.BitLen()))
	if !ok {
		e.Why = "the kernel has no route for the address"
		return e
	}
	e.Table = id
	var b strings.Builder
	if kind := paths[0].kind; kind != unix.RTN_UNICAST {
		b.WriteString(typeName(kind) + " ")
	}
	if p.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(p.String())
	}
	for _, path := range paths {
		if path.gateway.IsValid() {
			b.WriteString(" via " + path.gateway.String())
		}
		if path.index != 0 {
			b.WriteString(" dev " + r.deviceName(path.index))
		}
		if why := r.why(path); why != "" && e.Why == "" {
			e.Why = "the route " + why
		}
	}
	if p.Bits() == 0 {
		e.Why = "a default route never counts"
	}
	e.Route, e.Behind = b.String(), e.Why == ""
	return e
}
