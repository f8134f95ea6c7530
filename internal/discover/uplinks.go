// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// DefaultDevice is a device that an IPv6 default route leads through.
type DefaultDevice struct {
	Name string
	// Ethernet is true where neighbor discovery runs on the device.
	Ethernet bool
}

// Uplink is what discovery has to know of one uplink.
type Uplink struct {
	// Interface is the name in the configuration.
	Interface string
	// Link is the zero Link while there is no such interface.
	Link rules.Link
	// Forwards is true when the node forwards IPv6 packets that arrive on the
	// uplink. Link.Forwarding is not enough to tell: the kernel forwards by the
	// setting of all interfaces, and that of a single interface only makes it
	// behave as a router or as a host there.
	Forwards bool
	// OnLinkRoutes are the prefixes that the kernel routes to the uplink without
	// a next hop.
	OnLinkRoutes []netip.Prefix
	// Own are the on-link prefixes in which the host itself has addresses that no
	// kernel answers for on the uplink.
	Own []netip.Prefix
}

// Uplinks returns the uplinks of the configuration. Where it names none, they are
// the Ethernet devices with a default route, ordered by name. While there is no
// such device, the uplinks stay what they were last: they may merely be down.
func Uplinks(c *config.Config, defaults []DefaultDevice, last []string) []rules.Uplink {
	if len(c.Uplinks) > 0 {
		return slices.Clone(c.Uplinks)
	}
	var names []string
	for _, d := range defaults {
		if d.Ethernet {
			names = append(names, d.Name)
		}
	}
	if len(names) == 0 {
		names = slices.Clone(last)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	uplinks := make([]rules.Uplink, len(names))
	for i, name := range names {
		uplinks[i].Interface = name
	}
	return uplinks
}

// NoUplink says in one sentence, without a full stop, why no interface can be
// taken as an uplink.
func (o Overview) NoUplink() string {
	if o.NoIPv6 {
		return "IPv6 is off on this host (net.ipv6.conf.all.disable_ipv6)"
	}
	return NoUplink(o.Defaults)
}

// NoUplink says the same by the default routes alone. They are those that [Uplinks]
// found nothing among.
func NoUplink(defaults []DefaultDevice) string {
	var names []string
	for _, d := range defaults {
		if !d.Ethernet && !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	switch n := len(names); n {
	case 0:
		return "no interface has an IPv6 default route"
	case 1:
		return "the IPv6 default route leads through " + names[0] + ", which is not Ethernet, so nobody sends it solicitations"
	default:
		return "the IPv6 default routes lead through " + strings.Join(names[:n-1], ", ") + " and " + names[n-1] +
			", which are not Ethernet, so nobody sends them solicitations"
	}
}
