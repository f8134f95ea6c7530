// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// device is what decides whether addresses behind an interface are behind us.
type device struct {
	name     string
	kind     string // as "ip -d link" shows it
	loopback bool
	// neighbors is true where neighbor discovery runs.
	neighbors bool
	up        bool
}

func newDevice(link netlink.Link) device {
	a := link.Attrs()
	return device{
		name: a.Name, kind: link.Type(), loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
		neighbors: isEthernet(a), up: a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0,
	}
}

// isEthernet reports whether neighbor discovery runs on a link with Ethernet
// addresses: ARPHRD_ETHER and not NOARP.
func isEthernet(a *netlink.LinkAttrs) bool {
	return a.EncapType == "ether" && len(a.HardwareAddr) == 6 && a.RawFlags&unix.IFF_NOARP == 0
}

// tunnels are the kinds of devices whose far end is another node. What is
// routed there, this node must not draw to itself.
func tunnels() []string {
	return []string{
		"vxlan", "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan", "wireguard",
		"ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm", "bareudp", "amt", "gtp", "l2tpeth", "batadv",
	}
}

// shared are the devices of network plugins that carry the pods of other nodes
// as well as ours: there only what is on-link is ours.
func shared() []string { return []string{"cilium_host", "ovn-k8s-mp0", "antrea-gw0"} }

// away tells why a path through the device does not lead behind us, "" where it
// does.
func (d device) away(gateway, uplink bool) string {
	switch {
	case d.name == "":
		return "through a device that is unknown"
	case d.loopback:
		return "to this node itself"
	case uplink:
		return "through an uplink"
	case slices.Contains(tunnels(), d.kind):
		return "through a tunnel (" + d.kind + ")"
	case gateway && slices.Contains(shared(), d.name):
		return "through the network plugin's device to other nodes"
	}
	return ""
}
