// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// nowhere looks for rules that draw packets which the kernel takes nowhere behind
// the node, or that answer for nothing because of that.
func (c *collector) nowhere() {
	if c.Discovered {
		return
	}
	var loops, mute, own, taken []netip.Prefix
	var by string
	sure := true
	for _, r := range c.answering() {
		if r.Method.Clustered() || len(r.Devices) > 0 || c.Way.reaches(r.Prefix) || c.judge(&r).LeadsBehind(r.Prefix) {
			continue
		}
		if device := c.Way.besideAt(r.Prefix); device != "" {
			c.beside(r, device)
			continue
		}
		takenBy, known := c.taken(r.Prefix)
		switch {
		case r.Method == rules.Static, r.Method == rules.File: // which ask no route
			// It may be for a tunnel, for this node itself, or for what takes the
			// packets before they are routed.
			if takenBy == "" && c.judge(&r).LeadsBack(r.Prefix) {
				loops, sure = append(loops, r.Prefix), sure && known
			}
		case c.isOwn(r.Prefix):
			own = append(own, r.Prefix)
		case takenBy != "":
			taken, by = append(taken, r.Prefix), takenBy
		default:
			mute = append(mute, r.Prefix)
		}
	}
	const problem = "the kernel routes nothing of %s to a device behind this node"
	if len(loops) > 0 {
		effect := "packets for these addresses are drawn here, and leave by the uplink again or are refused"
		if !sure {
			effect += ", unless IPsec or a translation of addresses takes them: whether they do takes root to see"
		}
		c.warn(reasonNoRoute, effect, c.routesTo(loops), problem, list(loops))
	}
	if len(mute) > 0 {
		remedy := c.routesTo(mute)
		if c.Host.Cilium {
			remedy = `set "method: pods" for ` + mute[0].String() + likewise(mute) + ": Cilium routes the pods of every node to " + hostwatch.CiliumHost + ", so the kernel does not tell where a pod is"
		}
		c.warn(reasonNoRoute, "nothing is answered for these addresses", remedy, problem, list(mute))
	}
	if len(taken) > 0 {
		c.warn(reasonNoRoute, "nothing is answered for these addresses", `set "method: static" for `+taken[0].String()+likewise(taken)+": what takes the packets needs no route",
			problem+": %s the packets", list(taken), by)
	}
	if len(own) > 0 {
		c.inform(reasonNoRoute, "none: the kernel answers for addresses of "+c.name+" itself", "remove the rule",
			"the rule for %s is about addresses of %s", list(own), c.name)
	}
}

// beside tells of a rule whose prefix the kernel routes to another device on the
// uplink's own link: whoever has an address there is asked by the routers, too.
func (c *collector) beside(r rules.Rule, device string) {
	const problem = "the kernel routes %s to %s, which is on the link of %s"
	if r.Method == rules.Static || r.Method == rules.File {
		c.warn(reasonNoRoute, "who has these addresses answers as well, and the rule draws the packets to this node", "remove the rule", problem, r.Prefix, device, c.name)
		return
	}
	c.inform(reasonNoRoute, "none: who has these addresses is on the link itself, and answers itself", "nothing has to be done; the rule is not needed", problem, r.Prefix, device, c.name)
}

// isOwn reports whether a prefix is one of the uplink's own addresses.
func (c *collector) isOwn(p netip.Prefix) bool {
	return p.IsSingleIP() && slices.ContainsFunc(c.Link.Addresses, func(a rules.LinkAddress) bool { return a.Prefix.Addr() == p.Addr() })
}

// routesTo says how addresses of some rules are made to lead behind the node.
func (c *collector) routesTo(ps []netip.Prefix) string { return c.routeTo(ps[0]) + likewise(ps) }

// likewise goes with a remedy for the first of several prefixes.
func likewise(ps []netip.Prefix) string {
	if len(ps) == 1 {
		return ""
	}
	return ", and likewise for the others"
}

// routeTo says how addresses of a rule are made to lead behind the node. A prefix
// that holds the link's own must not be routed as a whole: the link's stations, or
// everything, would be behind.
func (c *collector) routeTo(p netip.Prefix) string {
	device, kind := c.guess(p)
	holdsLink := func(on netip.Prefix) bool { return p.Bits() <= on.Bits() && p.Contains(on.Addr()) }
	if p.Bits() == 0 || slices.ContainsFunc(c.OnLink, holdsLink) {
		named := device
		if p.Bits() == 0 || named == "" {
			named = "DEVICE"
		}
		return fmt.Sprintf(`route the addresses that are behind this node, and no others: "ip -6 route add ADDRESS/128 dev %s"; or have them asked for there, with "method: probe" and "devices: [%s]" for the rule`, named, named)
	}
	if device == "" {
		return "ip -6 route add " + p.String() + " dev DEVICE, with the device that leads to the addresses"
	}
	s := "ip -6 route add " + p.String() + " dev " + device
	if kind == "wireguard" {
		s += ", and the addresses among the AllowedIPs of a peer"
	}
	return s
}

// guess returns the device that probably leads to addresses of a prefix: one with
// an address there, or the only one that leads behind the node.
func (c *collector) guess(p netip.Prefix) (name, kind string) {
	var near []Device
	for _, d := range c.Way.Devices {
		if slices.ContainsFunc(d.Addresses, func(a netip.Prefix) bool { return p.Contains(a.Addr()) || a.Contains(p.Addr()) }) {
			near = append(near, d)
		}
	}
	if len(near) == 0 {
		near = c.Way.Devices
	}
	if len(near) != 1 {
		return "", ""
	}
	return near[0].Name, near[0].Kind
}
