// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
)

const (
	// perDevice is how many routes to one device are looked at, the widest first.
	perDevice = 4
	// namedMost is how many addresses that rules of the firewall name are.
	namedMost = 256
)

// loss is what the firewall drops of what one device leads to.
type loss struct {
	firewall.Drop
	device firewall.Device // zero for the host itself
	what   lossKind
	// replies is true where what comes from there is dropped as well.
	replies  bool
	prefixes []netip.Prefix
}

type lossKind uint8

const (
	// lossAll: nothing gets to the addresses.
	lossAll lossKind = iota
	// lossNew: no new connection does.
	lossNew
	// lossReplies: nothing that comes from the addresses leaves.
	lossReplies
)

// dropped looks for packets that answers draw here and that the firewall drops for
// certain. It says nothing of a firewall that may let some of them pass.
func (c *collector) dropped() {
	if c.Way.Firewall == nil || !c.Forwards {
		return
	}
	var losses []loss
	for _, d := range c.examined() {
		l, ok := c.loss(d)
		if !ok {
			continue
		}
		same := func(o loss) bool {
			return o.String() == l.String() && o.device == l.device && o.what == l.what && o.replies == l.replies
		}
		if i := slices.IndexFunc(losses, same); i >= 0 {
			losses[i].prefixes = append(losses[i].prefixes, d.Prefix)
			continue
		}
		l.prefixes = []netip.Prefix{d.Prefix}
		losses = append(losses, l)
	}
	for _, l := range losses {
		c.report(l)
	}
}

// examined returns the destinations that are looked at: some of each device, and
// addresses there that the firewall names.
func (c *collector) examined() []Destination {
	var out []Destination
	count := make(map[firewall.Device]int)
	for _, d := range c.Way.Destinations {
		if count[d.Device]++; count[d.Device] <= perDevice {
			out = append(out, d)
		}
	}
	named := 0
	for _, p := range c.Way.Firewall.Destinations() {
		if named == namedMost {
			break
		}
		for _, d := range slices.Backward(c.Way.Destinations) { // the most specific one
			if p.Bits() > d.Prefix.Bits() && d.Prefix.Contains(p.Addr()) {
				d.Prefix = p
				out, named = append(out, d), named+1
				break
			}
		}
	}
	return out
}

// loss returns what the firewall drops of one destination, and false for nothing.
func (c *collector) loss(d Destination) (l loss, ok bool) {
	in := firewall.Packet{In: c.device(), Out: d.Device, Destination: d.Prefix, State: firewall.New, Back: c.back()}
	known := in
	known.State = firewall.Established
	out := firewall.Packet{In: d.Device, Out: c.device(), Source: d.Prefix, State: firewall.Established, Back: firewall.SameDevice}
	f := c.Way.Firewall
	fresh, err := f.Fate(in)
	if err != nil {
		return loss{}, false
	}
	old, err := f.Fate(known)
	if err != nil {
		return loss{}, false
	}
	var reply, toStranger firewall.Fate
	if d.Device.Index != 0 {
		if reply, err = f.Fate(out); err != nil {
			return loss{}, false
		}
		out.Destination = stranger()
		if toStranger, err = f.Fate(out); err != nil {
			return loss{}, false
		}
	}
	l.device, l.replies = d.Device, reply.Dropped || toStranger.Dropped
	switch {
	case fresh.Dropped && fresh.Drop.ReversePath && c.back() == firewall.NoRoute: // no_return_route says it
		return loss{}, false
	case fresh.Dropped && old.Dropped:
		l.Drop, l.what = fresh.Drop, lossAll
	case fresh.Dropped:
		l.Drop, l.what = fresh.Drop, lossNew
	case reply.Dropped:
		l.Drop, l.what = reply.Drop, lossReplies
	default:
		return loss{}, false
	}
	return l, true
}

// stranger is an address that no rule of a firewall names: nobody has it.
func stranger() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 15: 1}), 128)
}

// report makes a finding of a loss.
func (c *collector) report(l loss) {
	to := "to the host itself"
	if l.device.Index != 0 {
		to = "to " + l.device.Name
	}
	switch {
	case l.what == lossAll && l.Raw && slices.Contains(l.Except, l.device.Name):
		c.warn(reasonDocker, "packets for these addresses arrive and are dropped: Docker 28 and newer do so for networks in the gateway mode nat, which is the default", c.dockerRemedy(),
			"%s drops what arrives on %s for %s", l.Drop, c.name, list(l.prefixes))
	case l.what == lossAll && l.ReversePath:
		c.warn(reasonReverse, "packets from senders beyond the link arrive and are dropped", c.letIn(l)+", or route what goes to these senders through "+c.name,
			"%s drops what arrives on %s for %s, because the way back to the sender does not lead through %s", l.Drop, c.name, list(l.prefixes), c.name)
	case l.what == lossAll:
		c.warn(reasonFirewall, "packets for these addresses arrive and are dropped", c.letIn(l),
			"%s drops what %s forwards %s for %s", l.by(), c.name, to, list(l.prefixes))
	case l.what == lossNew:
		c.inform(reasonFirewall, "these addresses can open connections, and cannot be reached from "+c.name, "nothing has to be done where that is intended; otherwise "+c.letIn(l),
			"%s drops new connections from %s %s for %s", l.by(), c.name, to, list(l.prefixes))
	case l.what == lossReplies:
		c.warn(reasonFirewall, "packets for these addresses arrive, and what the addresses send is dropped", c.letIn(l),
			"%s drops what arrives on %s from %s for %s", l.by(), l.device.Name, list(l.prefixes), c.name)
	}
}

// by names what drops.
func (l loss) by() string {
	if l.Policy {
		return "the policy of " + l.String()
	}
	return l.String()
}

// dockerRemedy says how Docker is told to let packets for its containers pass.
func (c *collector) dockerRemedy() string {
	return `create the network with "-o com.docker.network.bridge.gateway_mode_ipv6=routed", which opens published ports and ICMPv6; ` +
		`or, with Docker 28.2 and newer, with "-o com.docker.network.bridge.trusted_host_interfaces=` + c.name + `", which opens published ports; ` +
		`or set "allow-direct-routing": true in /etc/docker/daemon.json`
}

// letIn returns the commands that let the packets of a loss pass.
func (c *collector) letIn(l loss) string {
	var rules []string
	there, back := matches{in: c.name, out: l.device.Name}, matches{in: l.device.Name, out: c.name}
	if l.device.Index == 0 || l.Hook == "prerouting" {
		there.out, there.to = "", l.prefixes
	}
	if l.what != lossReplies {
		rules = append(rules, c.accept(l.Drop, there))
	}
	if l.replies && l.Hook != "prerouting" {
		rules = append(rules, c.accept(l.Drop, back))
	}
	if l.replies && l.Hook == "prerouting" {
		rules = append(rules, c.accept(l.Drop, matches{in: l.device.Name}))
	}
	s := rules[0]
	if len(rules) > 1 {
		s += " && " + rules[1]
	}
	return s
}

// matches is what a rule of a firewall asks of a packet.
type matches struct {
	in, out string
	to      []netip.Prefix
}

// accept returns the command that adds a rule at the head of the base chain.
func (c *collector) accept(d firewall.Drop, m matches) string {
	if table, ok := tableOfIptables(d); ok {
		chain := d.Base
		if chain == "FORWARD" && c.Way.Firewall.Chain("filter", "DOCKER-USER") {
			chain = "DOCKER-USER"
		}
		s := "ip6tables" + table + " -I " + chain
		if m.in != "" && d.Hook != "postrouting" {
			s += " -i " + m.in
		}
		if m.out != "" {
			s += " -o " + m.out
		}
		if len(m.to) > 0 {
			s += " -d " + join(m.to, ",")
		}
		return s + " -j ACCEPT"
	}
	s := "nft insert rule " + d.Family + " " + d.Table + " " + d.Base
	if m.in != "" && d.Hook != "postrouting" {
		s += ` iifname "` + m.in + `"`
	}
	if m.out != "" {
		s += ` oifname "` + m.out + `"`
	}
	switch len(m.to) {
	case 0:
	case 1:
		s += " ip6 daddr " + m.to[0].String()
	default:
		s += " ip6 daddr '{ " + join(m.to, ", ") + " }'"
	}
	return s + " accept"
}

func join(ps []netip.Prefix, separator string) string {
	var words []string
	for _, p := range ps {
		words = append(words, p.String())
	}
	return strings.Join(words, separator)
}

// tableOfIptables returns how ip6tables names the table, and false for a chain that
// nft has made.
func tableOfIptables(d firewall.Drop) (option string, ok bool) {
	if d.Family != "ip6" || !slices.Contains([]string{"PREROUTING", "INPUT", "FORWARD", "POSTROUTING"}, d.Base) {
		return "", false
	}
	switch d.Table {
	case "filter":
		return "", true
	case "raw", "mangle", "security":
		return " -t " + d.Table, true
	}
	return "", false
}
