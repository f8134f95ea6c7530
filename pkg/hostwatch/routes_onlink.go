// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"net/netip"
	"os"
	"slices"
	"strings"
)

// OnLinkDevice is a device with the global prefixes whose addresses it reaches without
// a next hop.
type OnLinkDevice struct {
	Name string
	// Neighbors is true where neighbor discovery runs on the device.
	Neighbors bool
	// Prefixes are in order.
	Prefixes []netip.Prefix
}

// OnLinkDevices returns the devices that have on-link prefixes, in order of their
// names.
func (r *Routes) OnLinkDevices() []OnLinkDevice {
	r.mu.RLock()
	defer r.mu.RUnlock()
	of := make(map[int32][]netip.Prefix)
	for o := range r.onLink {
		of[o.index] = append(of[o.index], o.prefix)
	}
	devices := make([]OnLinkDevice, 0, len(of))
	for index, prefixes := range of {
		slices.SortFunc(prefixes, netip.Prefix.Compare)
		devices = append(devices, OnLinkDevice{Name: r.deviceName(index), Neighbors: r.devices[index].Neighbors, Prefixes: prefixes})
	}
	slices.SortFunc(devices, func(a, b OnLinkDevice) int { return strings.Compare(a.Name, b.Name) })
	return devices
}

// IPv6Off reports whether this kernel has no IPv6, or has it off on all interfaces.
func IPv6Off() bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	return err != nil || strings.TrimSpace(string(b)) == "1"
}
