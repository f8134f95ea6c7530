// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"maps"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
)

// Class says where the routes through a device lead.
type Class uint8

// The classes of devices.
const (
	// Behind: the device leads behind this node.
	Behind Class = iota
	// Tunnel: its far end is another node. This node must not draw to itself
	// what is routed there.
	Tunnel
	// Overlay: it carries the pods of other nodes as well as those of this one.
	// Only what is on-link is here; a next hop is another node.
	Overlay
	// Stacked: it shares the link of the device below it (IFLA_LINK), and has a
	// MAC address or neighbor discovery of its own there. It leads behind this
	// node unless that link is an uplink's.
	Stacked
)

// Policy is the table that classifies devices. A name goes before a kind; what
// the table does not have is [Behind].
type Policy struct {
	// Names has classes by the device's name.
	Names map[string]Class
	// Kinds has classes by the kind of the device, as "ip -d link" shows it.
	Kinds map[string]Class
	// Encap is the class of routes that encapsulate packets (RTA_ENCAP), whatever
	// their device: [Behind] or [Tunnel].
	Encap Class
	// Hidden are the names of devices whose addresses are kept from neighbor
	// discovery on purpose.
	Hidden map[string]bool
}

// DefaultPolicy returns a new copy of the table that holds unless a configuration
// says otherwise.
func DefaultPolicy() Policy {
	kinds := make(map[string]Class)
	for _, kind := range []string{
		"vxlan", "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan", "wireguard",
		"ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm", "bareudp", "amt", "gtp", "l2tpeth", "batadv",
	} {
		kinds[kind] = Tunnel
	}
	for _, kind := range []string{"macvlan", "macvtap", "ipvlan", "ipvtap"} {
		kinds[kind] = Stacked
	}
	return Policy{
		// The devices of Cilium, OVN-Kubernetes and Antrea.
		Names: map[string]Class{"cilium_host": Overlay, "ovn-k8s-mp0": Overlay, "antrea-gw0": Overlay},
		Kinds: kinds,
		Encap: Tunnel,
		// Of kube-proxy and kube-router in the mode IPVS, and of NodeLocal DNSCache.
		Hidden: map[string]bool{"kube-ipvs0": true, "kube-dummy-if": true, "nodelocaldns": true},
	}
}

// clone returns a copy that shares nothing with p.
func (p Policy) clone() Policy {
	p.Names, p.Kinds, p.Hidden = maps.Clone(p.Names), maps.Clone(p.Kinds), maps.Clone(p.Hidden)
	return p
}

// classify returns the class of a device.
func (p Policy) classify(d hostwatch.Device) Class {
	if c, ok := p.Names[d.Name]; ok {
		return c
	}
	return p.Kinds[d.Kind]
}
