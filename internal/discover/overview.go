// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Overview is what discovery sees of a host. It is for people who want to know why
// there is no uplink or no rule.
type Overview struct {
	// NoIPv6 is true where IPv6 is off on the whole host.
	NoIPv6   bool
	Defaults []DefaultDevice
	Uplinks  []Uplink
	// Devices are those with on-link prefixes, in order of their names, uplinks among
	// them.
	Devices []Device
	// Routes are some that lead behind this host.
	Routes []Route
}

// Device is a device with on-link prefixes.
type Device struct {
	Name     string
	Ethernet bool
	OnLink   []netip.Prefix
}

// Route is a route that leads behind this host.
type Route struct {
	Prefix netip.Prefix
	Device string
	// Neighbor is true where the addresses can be asked for on the device.
	Neighbor bool
	// Host is true where the host itself takes the packets.
	Host bool
}

// shown is how many things of a kind an overview lists.
const shown = 8

// LookedFor says what discovery takes uplinks and rules from.
const LookedFor = "Ethernet interfaces with an IPv6 default route, and global prefixes that are on-link there"

// Lines says what is there, a line for each thing.
func (o Overview) Lines() []string {
	if o.NoIPv6 {
		return []string{"IPv6 is off on this host (net.ipv6.conf.all.disable_ipv6)"}
	}
	lines := []string{o.defaultLine()}
	for _, u := range o.Uplinks {
		lines = append(lines, u.line())
	}
	for _, d := range o.Devices {
		if !slices.ContainsFunc(o.Uplinks, func(u Uplink) bool { return u.Interface == d.Name || u.Link.Name == d.Name }) {
			lines = append(lines, fmt.Sprintf("interface %s%s: on-link %s", d.Name, notEthernet(d.Ethernet), join(d.OnLink)))
		}
	}
	if len(o.Uplinks) == 0 { // nothing is behind a host without a front
		if len(o.Devices) == 0 {
			lines = append(lines, "no interface has a global on-link prefix")
		}
		return lines
	}
	routes := outermost(o.Routes)
	for i, r := range routes {
		if i == shown {
			lines = append(lines, fmt.Sprintf("behind this host: %d more", len(routes)-shown))
			break
		}
		lines = append(lines, "behind this host: "+r.String())
	}
	if len(routes) == 0 {
		lines = append(lines, "behind this host: nothing is routed to another device")
	}
	return lines
}

func (o Overview) defaultLine() string {
	var names []string
	for _, d := range o.Defaults {
		if name := d.Name + notEthernet(d.Ethernet); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "default route: none"
	}
	return "default route: through " + strings.Join(names, ", ")
}

func notEthernet(ethernet bool) string {
	if ethernet {
		return ""
	}
	return " (not Ethernet)"
}

// line says what the uplink has.
func (u Uplink) line() string {
	head := "uplink " + u.Interface + ": "
	if u.Link.Index == 0 {
		return head + "the interface does not exist yet"
	}
	var parts []string
	var addresses []netip.Prefix
	for _, a := range u.Link.Addresses {
		if rules.CheckPrefix(netip.PrefixFrom(a.Prefix.Addr(), 128)) == nil {
			addresses = append(addresses, a.Prefix)
		}
	}
	switch {
	case !u.Link.IPv6:
		parts = append(parts, "IPv6 is off there")
	case len(addresses) == 0:
		parts = append(parts, "no global address")
	default:
		parts = append(parts, join(addresses))
	}
	if p := rules.OnLink(u.Link, u.OnLinkRoutes); len(p) > 0 {
		parts = append(parts, "on-link "+join(p))
	} else {
		parts = append(parts, "no global on-link prefix")
	}
	if !u.Forwards {
		parts = append(parts, "what arrives is not forwarded")
	}
	return head + strings.Join(parts, "; ")
}

// String shows the route in one line.
func (r Route) String() string {
	if r.Host {
		return r.Prefix.String() + ", which the host itself has, on " + r.Device
	}
	return r.Prefix.String() + " on " + r.Device
}

// outermost returns the global routes that no other one covers, in order.
func outermost(routes []Route) []Route {
	routes = slices.DeleteFunc(slices.Clone(routes), func(r Route) bool { return rules.CheckPrefix(r.Prefix) != nil })
	slices.SortFunc(routes, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
	var out []Route
	for _, r := range routes {
		if n := len(out); n == 0 || !out[n-1].Prefix.Contains(r.Prefix.Addr()) {
			out = append(out, r)
		}
	}
	return out
}

// join lists the first few prefixes.
func join(prefixes []netip.Prefix) string {
	var words []string
	for i, p := range prefixes {
		if i == shown {
			words = append(words, fmt.Sprintf("%d more", len(prefixes)-shown))
			break
		}
		words = append(words, p.String())
	}
	return strings.Join(words, ", ")
}
