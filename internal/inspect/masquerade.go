// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// chainCalico is the chain of Calico that changes the source of what pods of a pool with
// natOutgoing send. Its rules ask for sets of ip6tables, of which the firewall does not
// tell. It is empty while there is no such pool.
const chainCalico = "cali-nat-outgoing"

const (
	masqueradeEffect = "connections that these addresses open arrive elsewhere with an address of this node; what they answer to connections from outside keeps its source, because connection tracking knows these"
	masqueradeRemedy = "nothing has to be done where that is intended; otherwise tell the network plugin that these addresses are reachable from outside (Calico: natOutgoing: false in the IPPool; Cilium: enableIPv6Masquerade: false, or ipv6NativeRoutingCIDR; flannel: without --ip-masq), or take the rule out"
)

// masqueraded looks for rules of the firewall that give what the addresses behind the
// node send to the Internet by the uplink another source. It is for information: the
// addresses are reachable all the same.
func (c *collector) masqueraded() {
	if c.Way.Firewall == nil || !c.Forwards {
		return
	}
	var chains []string
	from := make(map[string][]netip.Prefix)
	count := make(map[firewall.Device]int)
	for _, d := range c.Way.Destinations {
		if count[d.Device]++; d.Device.Index == 0 || count[d.Device] > perDevice {
			continue
		}
		chain, err := c.Way.Firewall.Masquerade(firewall.Packet{
			In: d.Device, Out: c.device(), Source: d.Prefix, Destination: stranger(), State: firewall.New, Unmarked: true,
		})
		switch {
		case err != nil:
			return
		case chain == "":
			continue
		case from[chain] == nil:
			chains = append(chains, chain)
		}
		from[chain] = append(from[chain], d.Prefix)
	}
	for _, chain := range chains {
		c.inform(reasonMasquerade, masqueradeEffect, masqueradeRemedy,
			"%s changes the source of packets from %s that leave by %s", chain, list(from[chain]), c.name)
	}
	ofPods := func(r rules.Rule) bool { return r.Method != rules.Services }
	if len(chains) == 0 && c.Way.Firewall.Masquerades("nat", chainCalico) && slices.ContainsFunc(c.answering(), ofPods) {
		c.inform(reasonMasquerade, masqueradeEffect, masqueradeRemedy,
			"Calico (%s) changes the source of what pods of an IPPool with natOutgoing send to addresses outside of its pools", chainCalico)
	}
}
