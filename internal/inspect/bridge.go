// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"net/netip"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// bridge looks at what a bridge of this host keeps from the uplink, or from the
// routers.
func (c *collector) bridge() {
	if kept := c.kept(); len(kept) > 0 {
		s := c.Host.Snooping
		device := s.Bridge
		if s.Port != "" {
			device = s.Port
		}
		remedy := "ip link set dev " + device + " type bridge mcast_router 2"
		if s.Port != "" {
			remedy = "ip link set dev " + device + " type bridge_slave mcast_router 2"
		}
		c.warn(reasonSnooping, "the bridge does not forward solicitations for these prefixes, because nobody has joined their multicast groups", remedy+", or use rules of /120 and longer",
			"the bridge %s snoops MLD, and the groups of %s are not joined", s.Bridge, list(kept))
	}
	if ports := c.Host.Suppressing; len(ports) > 0 {
		c.warn(reasonSuppress, "unsolicited advertisements do not leave by such a port: a router goes on sending to where an address was before", "bridge link set dev "+strings.Join(ports, " neigh_suppress off && bridge link set dev ")+" neigh_suppress off",
			"neigh_suppress is on for %s, by which %s reaches its link", strings.Join(ports, ", "), c.name)
	}
}

// kept returns the prefixes whose solicitations a snooping bridge keeps from the
// uplink: those of which nobody has joined the groups, unless the bridge hands over
// all frames.
func (c *collector) kept() []netip.Prefix {
	s := c.Host.Snooping
	if s.Bridge == "" || !s.Querier || s.Router {
		return nil
	}
	var out []netip.Prefix
	for _, r := range c.answering() {
		joined, all := r.Prefix.Bits() >= joinable, false
		switch c.Config.Membership {
		case rules.MembershipAuto:
			all = !joined // the groups of wide prefixes are had by all-multicast
		case rules.MembershipJoin:
		case rules.MembershipAllMulti:
			joined, all = false, true
		case rules.MembershipNone:
			joined = false
		}
		if !joined && (!all || s.Port != "" || !s.AllMulticast) {
			out = append(out, r.Prefix)
		}
	}
	return out
}
