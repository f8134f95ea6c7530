// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Device is what the kernel says of a network device, as far as it matters to
// routes. Devices can be compared.
type Device struct {
	Index int32
	Name  string
	// Kind is the driver's name as "ip -d link" shows it, such as "veth", and
	// "device" for hardware.
	Kind     string
	Loopback bool
	// Neighbors is true where neighbor discovery runs: on Ethernet, unless the
	// device has the flag NOARP.
	Neighbors bool
	// Up is true when the device is up and has a carrier.
	Up bool
	// Master is the index of the bridge, bond or VRF that the device belongs
	// to, 0 for none.
	Master int32
	// Link is the index of the device that this one is bound to (IFLA_LINK),
	// such as the lower device of a macvlan, an ipvlan or a VLAN, or a veth's
	// peer. It is 0 for none, or when that device is in another network
	// namespace.
	Link int32
	// Group is the device's group, and VRF the table of a VRF, 0 for any other
	// device.
	Group uint32
	VRF   uint32
}

func newDevice(link netlink.Link) Device {
	a := link.Attrs()
	d := Device{
		Index: int32(a.Index), Name: a.Name, Kind: link.Type(), Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0, //nolint:gosec // the kernel's int
		Neighbors: isEthernet(a), Up: isUp(a), Master: int32(a.MasterIndex), //nolint:gosec // the kernel's int
	}
	d.Group = a.Group
	if vrf, ok := link.(*netlink.Vrf); ok {
		d.VRF = vrf.Table
	}
	if a.NetNsID < 0 { // IFLA_LINK_NETNSID is absent: the index is one of this namespace
		d.Link = int32(a.ParentIndex) //nolint:gosec // the kernel's int
	}
	return d
}

// isUp reports whether a link is up and has a carrier.
func isUp(a *netlink.LinkAttrs) bool {
	return a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0
}

// isEthernet reports whether neighbor discovery runs on a link with Ethernet
// addresses: ARPHRD_ETHER and not NOARP.
func isEthernet(a *netlink.LinkAttrs) bool {
	return a.EncapType == "ether" && len(a.HardwareAddr) == 6 && a.RawFlags&unix.IFF_NOARP == 0
}
