// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Findings returns what is wrong with an uplink and its rules, in a fixed order.
// It returns nothing for an interface that does not exist: its state tells.
func Findings(at Uplink) []Finding {
	if at.Link.Index == 0 {
		return nil
	}
	c := &collector{Uplink: at, name: at.Config.Interface}
	c.forwarding()
	c.link()
	c.rules()
	c.shared()
	c.templates()
	c.ingress()
	c.fastPath()
	c.plugin()
	c.bridge()
	c.stations()
	c.policy()
	c.outside()
	c.dropped()
	c.masqueraded()
	c.serviceLoops()
	return c.found
}

// collector collects the findings of one uplink.
type collector struct {
	Uplink
	name  string
	found []Finding
}

func (c *collector) warn(reason, effect, remedy, problem string, args ...any) {
	c.add(Warning, reason, effect, remedy, fmt.Sprintf(problem, args...))
}

func (c *collector) inform(reason, effect, remedy, problem string, args ...any) {
	c.add(Info, reason, effect, remedy, fmt.Sprintf(problem, args...))
}

func (c *collector) add(s Severity, reason, effect, remedy, problem string) {
	c.found = append(c.found, Finding{Interface: c.name, Reason: reason, Severity: s, Problem: problem, Effect: effect, Remedy: remedy})
}

// forwarding looks at the settings that make the node a router.
func (c *collector) forwarding() {
	remedy := "sysctl -w net.ipv6.conf.all.forwarding=1"
	if c.learnsDefault() { // the kernel drops the route when it begins to forward
		remedy = "sysctl -w net.ipv6.conf." + c.name + ".accept_ra=2 net.ipv6.conf.all.forwarding=1"
	}
	switch {
	case !c.Link.IPv6: // which the state tells
	case !c.Forwards && c.onlyOwn():
		c.inform(reasonForwarding, "nothing is answered for but what this host itself has", remedy,
			"the node does not forward IPv6 packets that arrive on %s", c.name)
	case !c.Forwards && c.Discovered:
		c.warn(reasonForwarding, c.unforwarded()+": packets for the addresses behind this node would be dropped", remedy,
			"the node does not forward IPv6 packets that arrive on %s", c.name)
	case !c.Forwards:
		c.warn(reasonForwarding, "packets for the addresses behind this node arrive and are dropped", remedy,
			"the node does not forward IPv6 packets that arrive on %s", c.name)
	case !c.Link.Forwarding && c.Config.Router == rules.RouterAuto:
		c.inform(reasonForwarding, "packets are forwarded, but advertisements say that the node is not a router (R flag)", `set "router: true" for the uplink, or sysctl -w net.ipv6.conf.`+c.name+".forwarding=1",
			"net.ipv6.conf.%s.forwarding is 0, although the node forwards", c.name)
	}
	if c.Link.Forwarding && c.learnsDefault() {
		c.warn(reasonAcceptRA, "the default route expires some time after the last router advertisement that was accepted", "sysctl -w net.ipv6.conf."+c.name+".accept_ra=2",
			"the default route comes from router advertisements, which the kernel ignores while it forwards (accept_ra is 1)")
	}
}

// unforwarded says what is answered by discovered rules while the node does not forward.
func (c *collector) unforwarded() string {
	if slices.ContainsFunc(c.answering(), func(r rules.Rule) bool { return r.OwnOnly }) {
		return "nothing is answered on " + c.name + " but for what this host itself has"
	}
	return "nothing is answered on " + c.name + " without rules of the configuration"
}

// learnsDefault reports whether the kernel has the default route from router
// advertisements, and ignores these while it forwards. With accept_ra 0 a program on
// the host handles the advertisements.
func (c *collector) learnsDefault() bool {
	return c.Host.AcceptRA == "1" && c.Routes.DefaultByRA(c.Link.Index)
}

// link looks at what else handles solicitations on the link.
func (c *collector) link() {
	c.proxied()
	if c.Link.Master != "" {
		remedy := "name " + c.Link.Master + " as the uplink, or the device on it that has the host's addresses"
		if c.Link.Master == "ovs-system" { // which stands for all bridges of Open vSwitch
			remedy = "name the internal port of the Open vSwitch bridge as the uplink, which has the host's addresses"
		}
		c.warn(reasonPort, "no solicitation arrives", remedy,
			"%s is a port of %s, which receives its frames", c.name, c.Link.Master)
	}
}

// ingress looks at what may take solicitations before the daemon receives them.
func (c *collector) ingress() {
	if c.Host.Ingress != "" && !c.Config.Early && !c.Host.CiliumSeen { // of which plugin tells
		c.warn(reasonIngress, "they may take or drop solicitations before the daemon receives them", `set "socket: early" for the uplink`,
			"%s on %s", c.Host.Ingress, c.name)
	}
	if c.Host.XDP && !c.isXDP() {
		c.warn(reasonIngress, "it may take or drop solicitations before anything else receives them", "make the program pass ICMPv6 messages of the types 135 and 136",
			"an XDP program handles the frames that arrive on %s", c.name)
	}
}

// isXDP reports whether the daemon's own program is the one in the XDP hook, of which
// there is one.
func (c *collector) isXDP() bool {
	at := c.FastPath
	return at != nil && (at.Way == ndp.WayXDP.String() || at.Way == ndp.WayXDPGeneric.String())
}

// stations looks at what other stations of the link do, and at what they get.
func (c *collector) stations() {
	if c.Conflicts > 0 {
		c.warn(reasonResponder, "these addresses are left to the other station", `see "ndproxyd status" for which station it is; narrow the rules, or add a deny rule for the addresses`,
			"another station on %s answers for %s of the rules", c.name, plural(c.Conflicts, "address", "addresses"))
	}
	if c.Neighbors > 0 {
		c.inform(reasonResponder, "none: these addresses are left to the stations of the link that have them", "nothing has to be done",
			"stations on %s have %s of a rule that covers the link's own prefix", c.name, plural(c.Neighbors, "address", "addresses"))
	}
	if c.UnicastErrors > 0 && !c.Config.ConsumeUnicast {
		c.inform(reasonUnicast, "a router that checks whether a neighbor is still reachable gets an error beside the answer; it goes by the answer", `nothing has to be done; "consume_unicast: true" for the uplink stops the errors (needs CAP_NET_ADMIN)`,
			"in the last %d minutes the kernel has sent up to %s out of %s for unicast solicitations that were answered", int(errorWindow.Minutes()), plural(c.UnicastErrors, "ICMPv6 error", "ICMPv6 errors"), c.name)
	}
}

// list shows the first few of some things.
func list[T fmt.Stringer](all []T) string {
	const most = 3
	var words []string
	for _, v := range all[:min(len(all), most)] {
		words = append(words, v.String())
	}
	s := strings.Join(words, ", ")
	if len(all) > most {
		s += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return s
}

// plural shows a number with its noun.
func plural[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
