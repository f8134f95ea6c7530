// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// defaultOf returns the paths of a table's default route, in the order in which the
// kernel prefers them. Without a route for ::/0, it is the one for all addresses that
// are assigned (RFC 3587 §3), as many how-tos have it.
func (r *Routes) defaultOf(id uint32) []Path {
	t := r.tables[id]
	if t == nil {
		return nil
	}
	for _, prefix := range []netip.Prefix{netip.PrefixFrom(netip.IPv6Unspecified(), 0), netip.MustParsePrefix("2000::/3")} {
		paths := slices.DeleteFunc(slices.Clone(t.get(prefix)), func(p Path) bool { return p.Kind != unix.RTN_UNICAST || p.Index == 0 })
		if len(paths) > 0 {
			return paths
		}
	}
	return nil
}

// defaults returns the paths of the default route of the first table that has one,
// of those that the kernel asks for every packet; else those of the other tables,
// such as default routes of a VRF or for some sources.
func (r *Routes) defaults() []Path {
	for i := range r.policy {
		if id, ok := r.policy[i].plain(); ok {
			if paths := r.defaultOf(id); len(paths) > 0 {
				return paths
			}
		}
	}
	var others []Path
	for _, id := range slices.Sorted(maps.Keys(r.tables)) {
		others = append(others, r.defaultOf(id)...)
	}
	return others
}

// defaultsThrough returns the paths of default routes through a device: those of the
// first table that has such, of those that the kernel asks for packets from there, or
// else of any.
func (r *Routes) defaultsThrough(index int32) []Path {
	through := func(paths []Path) []Path {
		return slices.DeleteFunc(paths, func(p Path) bool { return p.Index != index })
	}
	l, _ := r.lookup(Origin{Index: index})
	for i := range l {
		if l[i].table != nil {
			if paths := through(r.defaultOf(l[i].id)); len(paths) > 0 {
				return paths
			}
		}
	}
	return through(r.defaults())
}

// DefaultByRA reports whether a default route through the device with that index
// comes from router advertisements.
func (r *Routes) DefaultByRA(index int) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.ContainsFunc(r.defaultsThrough(int32(index)), func(p Path) bool { return p.Proto == unix.RTPROT_RA }) //nolint:gosec // the kernel's int
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

// VRF returns the table of the VRF that a device belongs to, 0 for none.
func (r *Routes) VRF(index int32) uint32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.devices[r.devices[index].Master].VRF
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
	for _, p := range r.defaultsThrough(int32(index)) { //nolint:gosec // the kernel's int
		if p.Gateway.IsValid() {
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
