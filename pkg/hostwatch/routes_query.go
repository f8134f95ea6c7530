// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// defaults returns the paths of the default route in the order in which the
// kernel prefers them, of the first table that has one; else those of the tables
// that are not followed, such as default routes for some sources.
func (r *Routes) defaults() []Path {
	of := func(id uint32) []Path {
		return slices.DeleteFunc(slices.Clone(r.tables[id].get(netip.PrefixFrom(netip.IPv6Unspecified(), 0))),
			func(p Path) bool { return p.Kind != unix.RTN_UNICAST || p.Index == 0 })
	}
	for _, id := range r.order {
		if paths := of(id); len(paths) > 0 {
			return paths
		}
	}
	var others []Path
	for _, id := range slices.Sorted(maps.Keys(r.tables)) {
		others = append(others, of(id)...)
	}
	return others
}

// DefaultByRA reports whether a default route through the device with that index
// comes from router advertisements.
func (r *Routes) DefaultByRA(index int) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.ContainsFunc(r.defaults(), func(p Path) bool { return int(p.Index) == index && p.Proto == unix.RTPROT_RA })
}

// DefaultDevice is a device that carries an IPv6 default route.
type DefaultDevice struct {
	Name string
	// Neighbors is true where neighbor discovery runs on the device.
	Neighbors bool
}

// DefaultDevices returns the devices that carry an IPv6 default route, each once,
// in the order in which the kernel prefers them.
func (r *Routes) DefaultDevices() []DefaultDevice {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var ds []DefaultDevice
	for _, p := range r.defaults() {
		if d := (DefaultDevice{r.deviceName(p.Index), r.devices[p.Index].Neighbors}); !slices.Contains(ds, d) {
			ds = append(ds, d)
		}
	}
	return ds
}

// Index returns the index of the device with that name, 0 for none.
func (r *Routes) Index(name string) int32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.names[name]
}

// Name returns the name of the device with that index, or the index as text.
func (r *Routes) Name(index int32) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.deviceName(index)
}

// Has reports whether there is a device with that index.
func (r *Routes) Has(index int32) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
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
	r.mu.RLock()
	defer r.mu.RUnlock()
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
		if int(p.Index) == index && p.Gateway.IsValid() {
			h.Default = append(h.Default, p.Gateway)
		}
	}
	slices.SortFunc(h.All, netip.Addr.Compare)
	slices.SortFunc(h.OnLink, netip.Prefix.Compare)
	return h
}

// isGlobal reports whether a prefix can be that of a provider's link.
func isGlobal(p netip.Prefix) bool {
	a := p.Addr()
	return !a.IsMulticast() && !a.IsLinkLocalUnicast() && !a.IsLoopback() && !a.IsUnspecified()
}

// HostRoutes returns the routes of this program that the kernel had when the
// Watcher was opened: those that an earlier run left behind.
func (r *Routes) HostRoutes() []HostRoute {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hostRoutes
}
