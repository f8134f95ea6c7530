// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"maps"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Class says where the routes through a device lead.
type Class uint8

// The classes of devices.
const (
	// Behind: the device leads behind this node.
	Behind Class = iota
	// Tunnel: its far end is another node of the cluster, which answers for
	// itself. This node must not draw to itself what is routed there.
	Tunnel
	// Overlay: it carries the pods of other nodes as well as those of this one.
	// Only what is on-link is here; a next hop is another node.
	Overlay
	// Undecided: what is on-link there may be on this node or on another one, so a
	// route says nothing of where an address is. Cilium's tunnel has routes to
	// cilium_host without a next hop for the prefixes of all nodes.
	Undecided
	// Stacked: it shares the link of the device below it (IFLA_LINK), and has a
	// MAC address or neighbor discovery of its own there. It leads behind this
	// node unless that link is an uplink's.
	Stacked
)

// policy is the table that classifies devices. A name goes before a prefix of
// names, and that before a kind; what the table does not have is [Behind].
type policy struct {
	names    map[string]Class
	prefixes []prefixClass // the first one that fits counts
	kinds    map[string]Class
	// encap is the class of routes that encapsulate packets (RTA_ENCAP), whatever
	// their device: Behind or Tunnel.
	encap Class
	// hidden are the names of devices whose addresses are kept from neighbor
	// discovery on purpose.
	hidden map[string]bool
}

// prefixClass classifies the devices whose names begin with a prefix.
type prefixClass struct {
	prefix string
	class  Class
}

// hostPolicy returns the table of a host that is no node of a cluster: whatever it
// forwards to and is no uplink is behind it, tunnels of every kind among them. The
// devices of network plugins are known by their names on every host.
func hostPolicy() *policy {
	return &policy{
		names: map[string]Class{
			"cilium_host": Undecided,
			"ovn-k8s-mp0": Overlay, "ovn0": Overlay, "antrea-gw0": Overlay,
			"vxlan.calico": Tunnel, "vxlan-v6.calico": Tunnel, "wireguard.cali": Tunnel, "wg-v6.cali": Tunnel, "tunl0": Tunnel,
			"kilo0": Tunnel, "vx-submariner": Tunnel,
		},
		prefixes: []prefixClass{
			{"flannel", Tunnel}, {"cilium_", Tunnel}, {"genev_sys_", Tunnel}, {"vxlan_sys_", Tunnel}, {"antrea-", Tunnel},
		},
		kinds: map[string]Class{"macvlan": Stacked, "macvtap": Stacked, "ipvlan": Stacked, "ipvtap": Stacked},
		// Of kube-proxy and kube-router in the mode IPVS, of NodeLocal DNSCache, and
		// of Antrea, whose agent answers itself.
		hidden: map[string]bool{"kube-ipvs0": true, "kube-dummy-if": true, "nodelocaldns": true, "antrea-egress0": true},
	}
}

// clusterPolicy returns the table of a node: the far end of a tunnel is another
// node, and lo has addresses of services, for which others answer.
func clusterPolicy() *policy {
	p := hostPolicy()
	for _, kind := range []string{
		"vxlan", "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan", "wireguard",
		"ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm", "bareudp", "amt", "gtp", "l2tpeth", "batadv",
	} {
		p.kinds[kind] = Tunnel
	}
	p.encap = Tunnel
	p.hidden["lo"] = true
	return p
}

// pluginDevices are the devices by which a node is told from other hosts where no
// cluster is configured. Names that other programs use as well, and those that
// come with a module of the kernel (tunl0), are left out.
func pluginDevices() []string {
	return []string{
		"cilium_host", "cilium_net", "flannel.1", "flannel-v6.1", "flannel-wg", "flannel-wg-v6",
		"vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali", "ovn-k8s-mp0", "antrea-gw0",
		"kube-bridge", "kube-dummy-if", "kube-ipvs0", "nodelocaldns", "kilo0",
	}
}

// isNode reports whether a device of a network plugin is there.
func isNode(t hostwatch.Tables) bool {
	return slices.ContainsFunc(pluginDevices(), func(name string) bool { return t.Index(name) != 0 })
}

// override puts the operator's settings before what the table says.
func (p *policy) override(settings []rules.DeviceSetting) {
	names := make(map[string]Class)
	var prefixes []prefixClass
	for _, s := range settings {
		switch prefix, all := strings.CutSuffix(s.Name, "*"); {
		case s.Name == "":
			p.kinds[s.Kind] = classOf(s.Leads)
		case all:
			prefixes = append(prefixes, prefixClass{prefix, classOf(s.Leads)})
			maps.DeleteFunc(p.names, func(name string, _ Class) bool { return strings.HasPrefix(name, prefix) })
		default:
			names[s.Name] = classOf(s.Leads)
		}
	}
	maps.Copy(p.names, names)
	p.prefixes = append(prefixes, p.prefixes...)
}

// classOf returns the class that stands for what the operator says.
func classOf(l rules.Leads) Class {
	switch l {
	case rules.LeadsElsewhere:
		return Tunnel
	case rules.LeadsOnLink:
		return Overlay
	case rules.LeadsBehind:
	}
	return Behind
}

// classify returns the class of a device.
func (p *policy) classify(d hostwatch.Device) Class {
	if c, ok := p.byName(d.Name); ok {
		return c
	}
	return p.kinds[d.Kind]
}

// named reports whether the table has a device by its name, and not by its kind.
func (p *policy) named(d hostwatch.Device) bool {
	_, ok := p.byName(d.Name)
	return ok
}

func (p *policy) byName(name string) (Class, bool) {
	if c, ok := p.names[name]; ok {
		return c, true
	}
	for _, x := range p.prefixes {
		if strings.HasPrefix(name, x.prefix) {
			return x.class, true
		}
	}
	return Behind, false
}
