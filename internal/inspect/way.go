// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Way holds the facts about what the host does with packets that answers on one
// uplink draw to it. The zero Way says nothing.
type Way struct {
	// Destinations are where the kernel takes packets for addresses of the rules.
	Destinations []Destination
	// Devices are those that lead behind the node.
	Devices []Device
	// Beside are prefixes of the rules, or parts, that the kernel routes to another device
	// on the uplink's own link, such as a macvlan.
	Beside []Destination
	// Missing are devices that the rules name and that do not exist.
	Missing []string
	// Outside is where packets for addresses of the internet leave.
	Outside hostwatch.Outside
	// Firewall is nil where its rules cannot be read.
	Firewall Firewall
	// IPsec are the prefixes whose packets IPsec policies take, whoever sends them.
	// IPsecKnown is false where the policies cannot be read.
	IPsec      []netip.Prefix
	IPsecKnown bool
}

// Destination is a prefix of a rule, or a part of one, that the kernel routes to a
// device behind the node or takes itself.
type Destination struct {
	Prefix netip.Prefix
	// Device is where the packets leave, zero where the host itself takes them.
	Device firewall.Device
	// Forwards is true where the node forwards what arrives on the device.
	Forwards bool
}

// Device is one that leads behind the node.
type Device struct {
	Name string
	// Kind is the driver's name, as "ip -d link" shows it.
	Kind string
	// Neighbors is true where neighbor discovery runs on the device.
	Neighbors bool
	// Addresses are the device's, with the lengths of their prefixes.
	Addresses []netip.Prefix
}

// Firewall tells what the rules of a firewall do with packets.
type Firewall interface {
	Fate(firewall.Packet) (firewall.Fate, error)
	// Destinations are the prefixes and addresses that its rules name as such.
	Destinations() []netip.Prefix
	// Chain reports whether iptables has a chain of that name in a table.
	Chain(table, name string) bool
	// Masquerade returns the chain that gives a packet another source for certain, ""
	// for none.
	Masquerade(firewall.Packet) (string, error)
	// Masquerades reports whether a chain that iptables has made in a table changes the
	// source of packets, whichever these are.
	Masquerades(table, name string) bool
}

// destinations returns where the kernel takes packets for addresses of the rules.
func destinations(within func(netip.Prefix) iter.Seq[rules.Entry], rs []rules.Rule, device func(int32) firewall.Device) []Destination {
	var out []Destination
	for _, r := range rs {
		if r.Method == rules.Deny {
			continue
		}
		for e := range within(r.Prefix) {
			if !e.Behind && (!e.Host || e.Hidden) && (!e.Forwarded || len(r.Devices) == 0) {
				continue
			}
			d := Destination{Prefix: e.Prefix}
			if r.Prefix.Bits() > e.Prefix.Bits() {
				d.Prefix = r.Prefix
			}
			if !e.Host {
				d.Device = device(e.Device)
			}
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b Destination) int {
		return cmp.Or(cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Device.Index, b.Device.Index))
	})
	return slices.Compact(out)
}

// beside returns what the kernel routes of the rules' prefixes to another device on the
// uplink's own link.
func beside(within func(netip.Prefix) iter.Seq[rules.Entry], rs []rules.Rule, shares func(int32) bool) []Destination {
	var out []Destination
	for _, r := range rs {
		for e := range within(r.Prefix) {
			if r.Method == rules.Deny || e.Behind || e.Host {
				continue
			}
			d := Destination{Prefix: e.Prefix, Device: firewall.Device{Index: int(e.Device)}}
			if r.Prefix.Bits() > e.Prefix.Bits() {
				d.Prefix = r.Prefix
			}
			out = append(out, d)
		}
	}
	return slices.DeleteFunc(out, func(d Destination) bool { return !shares(int32(d.Device.Index)) }) //nolint:gosec // the kernel's int
}

// reaches reports whether the kernel takes any address of a prefix behind the node,
// or to the host itself.
func (w Way) reaches(p netip.Prefix) bool {
	return slices.ContainsFunc(w.Destinations, func(d Destination) bool { return d.Prefix.Overlaps(p) })
}

// besideAt returns the device on the uplink's own link to which the kernel routes the
// whole of a prefix, "" for none.
func (w Way) besideAt(p netip.Prefix) string {
	i := slices.IndexFunc(w.Beside, func(d Destination) bool { return d.Prefix.Bits() <= p.Bits() && d.Prefix.Overlaps(p) })
	if i < 0 {
		return ""
	}
	return w.Beside[i].Device.Name
}

// taken says what takes packets for a prefix before they are routed, "" for
// nothing. sure is false where that cannot be seen.
func (c *collector) taken(p netip.Prefix) (by string, sure bool) {
	if slices.ContainsFunc(c.Way.IPsec, func(q netip.Prefix) bool { return q.Overlaps(p) }) {
		return "IPsec policies take", true
	}
	if c.Way.Firewall == nil {
		return "", false
	}
	fate, err := c.Way.Firewall.Fate(firewall.Packet{In: c.device(), Out: c.device(), Destination: p, State: firewall.New})
	if err != nil {
		return "", false
	}
	if fate.Translated {
		return "firewall rules translate", true
	}
	return "", c.Way.IPsecKnown
}

// device is the uplink as the firewall knows it.
func (c *collector) device() firewall.Device {
	return firewall.Device{Name: c.Link.Name, Index: c.Link.Index}
}

// back tells by which way answers to senders outside leave.
func (c *collector) back() firewall.ReversePath {
	o := c.Way.Outside
	switch {
	case !o.Known:
		return firewall.Unknown
	case slices.Contains(o.Devices, c.Link.Index):
		return firewall.SameDevice
	case len(o.Devices) > 0:
		return firewall.OtherDevice
	}
	return firewall.NoRoute
}
