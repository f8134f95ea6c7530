// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// plugin looks at what the network plugin of a cluster does on this node.
func (c *collector) plugin() {
	c.cilium()
	c.tunnels()
}

// cilium tells that Cilium answers for the pods of this node itself. Its program handles
// a solicitation before a packet socket gets it, unless the socket is an early one.
func (c *collector) cilium() {
	if !c.Host.Cilium || !slices.ContainsFunc(c.answering(), func(r rules.Rule) bool { return r.Method != rules.Services }) {
		return
	}
	sure := ""
	if c.Host.CiliumSeen {
		sure = ", by its program on " + c.name
	}
	effect := `"ndproxyd explain" says what ndproxyd would answer for a pod, but no solicitation for it arrives; what ndproxyd adds is the membership in the pods' groups, without which a snooping bridge or switch keeps solicitations from this node, and announcements of new pods`
	if c.Config.Early {
		effect = `with "socket: early" ndproxyd hears the solicitations for pods as well, so each is answered twice, with the same MAC address`
	}
	c.inform(reasonCilium, effect, "nothing has to be done; for services, ndproxyd answers where Cilium does not announce them itself",
		"Cilium answers on %s for the pods of this node itself%s", c.name, sure)
}

// tunnels looks for a network plugin that encapsulates packets between nodes, while the
// addresses of pods are in an on-link prefix of the uplink. The plugin's routes lead to
// the address of another node's tunnel device, which the kernel takes for a neighbor on
// the uplink (fib6_nh_init checks that a next hop is on the route's own device).
func (c *collector) tunnels() {
	for _, t := range c.Host.Tunnels {
		i := slices.IndexFunc(c.OnLink, func(p netip.Prefix) bool { return p.Contains(t.Address) })
		if i < 0 {
			continue
		}
		c.warn(reasonTunnel, "the kernel refuses the plugin's routes to the pods of other nodes, because their next hops are on-link on "+c.name+": pods of two nodes do not reach each other",
			"let the plugin encapsulate nothing (flannel: the backend host-gw; Calico: vxlanMode Never), or give the pods addresses outside of "+c.OnLink[i].String(),
			"%s has the address %s, which is in the on-link prefix %s of %s", t.Name, t.Address, c.OnLink[i], c.name)
		return
	}
}
