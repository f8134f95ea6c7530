// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// proxyMode is a mode of kube-proxy in which it leaves some packets for service addresses
// to the kernel.
type proxyMode struct {
	name string
	// table and chain are what kube-proxy makes in that mode, of the family ip6.
	table, chain string
	// leaves are the kinds of service addresses of which it takes the ports of services
	// only.
	leaves rules.ServiceKinds
}

// proxyModes are those modes. With nftables, kube-proxy rejects what is for other ports of
// cluster IPs, and drops what is for cluster IPs that no service has. In the mode ipvs,
// which has KUBE-NODE-PORT instead, the addresses are the node's own, so the kernel
// answers a ping.
func proxyModes() []proxyMode {
	return []proxyMode{
		{"iptables", "nat", "KUBE-NODEPORTS", rules.Exposed | rules.ClusterIPs},
		{"nftables", "kube-proxy", "services", rules.Exposed},
	}
}

// serviceLoops looks for a kube-proxy that takes packets for ports of services only. The
// kernel routes the others, such as a ping, back out of the uplink.
func (c *collector) serviceLoops() {
	if c.Way.Firewall == nil || c.Config.DropLoops {
		return
	}
	for _, m := range proxyModes() {
		left := func(r rules.Rule) bool { return r.TakesServices() && r.Kinds.Has(m.leaves) }
		if !c.Way.Firewall.Chain(m.table, m.chain) || !slices.ContainsFunc(c.answering(), left) {
			continue
		}
		c.inform(reasonLoops, "a packet for a service address that is for no port of the service, such as a ping, is routed back out of "+c.name+"; while two nodes answer for the address it goes round between them until its hop limit is used up",
			`set "drop_loops: true" for the uplink (needs CAP_NET_ADMIN)`,
			"kube-proxy is in the mode %s, and %s does not drop what kube-proxy leaves", m.name, c.name)
		return
	}
}
