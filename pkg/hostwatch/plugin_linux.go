// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// CiliumHost is the device that Cilium's agent makes on each of its nodes.
const CiliumHost = "cilium_host"

// ciliumIngress is in the name of the program by which Cilium handles the frames that
// arrive on a node's own devices, as cil_from_netdev, and cil_from_netdev-eth0.
const ciliumIngress = "from_netdev"

// Tunnel is a network plugin's device to other nodes, with an address of its own.
type Tunnel struct {
	Name    string
	Address netip.Addr
}

// readTunnels returns the devices by which flannel and Calico encapsulate packets in
// VXLAN for other nodes. Their addresses are the next hops of the other nodes' routes.
func readTunnels() []Tunnel {
	links, err := again(netlink.LinkList)
	if err != nil {
		return nil
	}
	var all []Tunnel
	for _, l := range links {
		name := l.Attrs().Name
		if !isPluginTunnel(name) {
			continue
		}
		as, err := addresses(l)
		if err != nil {
			continue
		}
		for _, a := range as {
			if a.Prefix.Addr().IsGlobalUnicast() {
				all = append(all, Tunnel{name, a.Prefix.Addr()})
			}
		}
	}
	return all
}

// isPluginTunnel reports whether a plugin gives its devices such a name that the routes
// through it have next hops which are addresses of pods.
func isPluginTunnel(name string) bool {
	return strings.HasPrefix(name, "flannel.") || strings.HasPrefix(name, "flannel-v6.") || name == "vxlan.calico" || name == "vxlan-v6.calico"
}

// hasCilium reports whether Cilium's agent has set this host up, and whether one of its
// programs is seen among the filters for the frames that arrive on a link. One that is
// attached by tcx is not seen without privileges that the daemon does without.
func hasCilium(filters []netlink.Filter) (there, seen bool) {
	_, err := netlink.LinkByName(CiliumHost)
	seen = slices.ContainsFunc(filters, func(f netlink.Filter) bool {
		bpf, ok := f.(*netlink.BpfFilter)
		return ok && strings.Contains(bpf.Name, ciliumIngress)
	})
	return err == nil || seen, seen
}
