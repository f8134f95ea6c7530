// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// proxied looks at the kernel's own proxy entries for addresses of the rules. Only
// those that the daemon answers for, too, are of no use.
func (c *collector) proxied() {
	var twice, alone, unclear, idle []netip.Addr
	var why ndp.Reason
	answering := c.answering()
	for _, a := range c.Host.Proxied {
		if !slices.ContainsFunc(answering, func(r rules.Rule) bool { return r.Prefix.Contains(a) }) {
			continue
		}
		var reason ndp.Reason
		known := false
		if c.Decide != nil {
			reason, known = c.Decide(a)
		}
		switch {
		case !c.Host.ProxyNDP:
			idle = append(idle, a)
		case !known:
			unclear = append(unclear, a)
		case reason == ndp.Answered || reason == ndp.Probing:
			twice = append(twice, a)
		default:
			if len(alone) == 0 {
				why = reason
			}
			alone = append(alone, a)
		}
	}
	if len(twice) > 0 {
		c.warn(reasonProxy, "solicitations for these addresses get two answers, the kernel's up to a second late", c.deleteProxies(twice),
			"the kernel is a proxy for %s on %s as well", list(twice), c.name)
	}
	if len(alone) > 0 {
		a := alone[0].String()
		c.inform(reasonProxy, "none that shows: the kernel answers, up to a second late", "keep the entry, or first "+proxyCure(why, a)+`; delete it only when "ndproxyd explain `+a+`" says that the address is answered for`,
			"the kernel is a proxy for %s on %s, which ndproxyd does not answer for (%s: %s)", list(alone), c.name, why, why.Text())
	}
	if len(unclear) > 0 {
		a := unclear[0].String()
		c.warn(reasonProxy, "solicitations for these addresses may get two answers, the kernel's up to a second late", `if "ndproxyd explain `+a+`" says that the address is answered for: `+c.deleteProxies(unclear[:1]),
			"the kernel is a proxy for %s on %s, and rules cover them", list(unclear), c.name)
	}
	if len(idle) > 0 {
		c.inform(reasonProxy, "none: the kernel answers for none of its proxy entries while net.ipv6.conf."+c.name+".proxy_ndp is 0", "nothing has to be done",
			"the kernel has proxy entries for %s on %s", list(idle), c.name)
	}
}

// deleteProxies returns the command that deletes the kernel's entries for some
// addresses.
func (c *collector) deleteProxies(addresses []netip.Addr) string {
	if len(addresses) == 1 {
		return "ip -6 neigh del proxy " + addresses[0].String() + " dev " + c.name
	}
	var words []string
	for _, a := range addresses {
		words = append(words, a.String())
	}
	return "for a in " + strings.Join(words, " ") + "; do ip -6 neigh del proxy $a dev " + c.name + "; done"
}

// proxyCure says what makes the daemon answer for an address.
func proxyCure(why ndp.Reason, address string) string {
	silence := func(s rules.Silence) bool { return why == ndp.Silent(s) }
	switch {
	case silence(rules.NoRoute):
		return `route the address to the device that leads to it, "ip -6 route add ` + address + `/128 dev DEVICE", or add a rule for it with the method static`
	case silence(rules.Denied):
		return "remove the deny rule for the address"
	case silence(rules.Claimed):
		return "find the station of the link that has the address, too"
	}
	return `do what "ndproxyd explain ` + address + `" says`
}
