// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// outside looks for the way by which what the addresses behind the node send gets
// out.
func (c *collector) outside() {
	if !c.Forwards {
		return
	}
	c.oneWay()
	o := c.Way.Outside
	global := func(r rules.Rule) bool {
		return r.Prefix.Bits() > 3 && r.Prefix.Addr().IsGlobalUnicast() && !r.Prefix.Addr().IsPrivate()
	}
	if !o.Known || len(o.Devices) > 0 || !slices.ContainsFunc(c.answering(), global) {
		return
	}
	remedy := "ip -6 route add default via " + c.router() + " dev " + c.name
	if c.Link.Forwarding && c.Host.AcceptRA == "1" && o.Route == "" {
		remedy = "sysctl -w net.ipv6.conf." + c.name + ".accept_ra=2, if the router advertises itself, which the kernel ignores while it forwards: the route comes with the next advertisement; otherwise " + remedy
	}
	problem := "the kernel has no default route"
	if words := strings.Fields(o.Route); len(words) > 1 {
		problem = "the kernel refuses packets for addresses outside (" + o.Route + ")"
		remedy = "ip -6 route del " + words[0] + " " + words[1] + " && " + remedy
	}
	c.warn(reasonReturn, "what the addresses behind this node send to others than the stations of the link is dropped", remedy, "%s", problem)
}

// router returns the address of a router on the link, and a word for it where none
// is known.
func (c *collector) router() string {
	for _, a := range c.Host.Routers {
		if a.IsLinkLocalUnicast() {
			return a.String()
		}
	}
	return "ROUTER"
}

// oneWay looks for devices behind the node from which it does not forward, as it
// may be with force_forwarding.
func (c *collector) oneWay() {
	var names []string
	for _, d := range c.Way.Destinations {
		if d.Device.Index != 0 && !d.Forwards && !slices.Contains(names, d.Device.Name) {
			names = append(names, d.Device.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	var set []string
	for _, name := range names {
		set = append(set, "net.ipv6.conf."+name+".force_forwarding=1")
	}
	c.warn(reasonForwarding, "packets for the addresses behind this node arrive there, and what the addresses send is dropped", "sysctl -w "+strings.Join(set, " "),
		"the node does not forward IPv6 packets that arrive on %s", strings.Join(names, ", "))
}
