// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"iter"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// maxRead bounds how many routes an overview reads. The kernel's table may be that of
// a router with a million of them, whose follower waits meanwhile.
const maxRead = 20_000

// Entries are what the judge of routes knows.
type Entries interface{ All() iter.Seq[rules.Entry] }

// Overview returns what discovery sees of this host.
func Overview(routes *hostwatch.Routes, judge Entries, uplinks []discover.Uplink) discover.Overview {
	o := discover.Overview{NoIPv6: hostwatch.IPv6Off(), Uplinks: uplinks}
	for _, d := range routes.DefaultDevices() {
		o.Defaults = append(o.Defaults, discover.DefaultDevice{Name: d.Name, Ethernet: d.Neighbors})
	}
	for _, d := range routes.OnLinkDevices() {
		o.Devices = append(o.Devices, discover.Device{Name: d.Name, Ethernet: d.Neighbors, OnLink: d.Prefixes})
	}
	var behind []rules.Entry
	read := 0
	for e := range judge.All() {
		if read++; read > maxRead {
			break
		}
		if e.Prefix.Bits() > 0 && (e.Behind || e.Host && !e.Hidden) && rules.CheckPrefix(e.Prefix) == nil {
			behind = append(behind, e)
		}
	}
	for _, e := range behind { // the routes may be asked again now
		o.Routes = append(o.Routes, discover.Route{Prefix: e.Prefix, Device: routes.Name(e.Device), Neighbor: e.Neighbor, Host: e.Host})
	}
	return o
}

// notCovered returns the finding of routes behind the host that no discovered rule
// covers, on a host that answers for others.
func notCovered(c *config.Config, i Inspection, s discover.Suggestion) []Finding {
	if s.IsZero() || i.Rules == 0 || !c.DiscoverRules {
		return nil
	}
	return []Finding{{
		Reason: reasonNotCovered, Severity: Info,
		Problem: "no discovered rule covers " + s.Text() + ": the prefix is on-link at no uplink",
		Effect:  "nothing is answered for these addresses, which is right where the provider routes them to this host, and wrong where it delivers them on the link",
		Remedy:  "nothing has to be done where they are routed to this host; if a router asks for them (tcpdump -ni UPLINK icmp6), use this configuration, or " + s.Flags(),
		Config:  s.YAML(),
	}}
}

// noUplinkRemedy says what to do on a host without an uplink.
func noUplinkRemedy(o discover.Overview, s discover.Suggestion) string {
	const name = `name the interface that faces the router, with "--interface NAME" or under "uplinks" in the configuration`
	switch {
	case o.NoIPv6:
		return "sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0"
	case !s.IsZero():
		return "for stations on the link of " + strings.Join(s.Uplinks, ", ") + " that look for " + s.Text() + ": use this configuration, or " + s.Flags()
	case len(o.Defaults) > 0:
		return "nothing has to be done for packets that arrive through " + o.Defaults[0].Name + ": they come without a solicitation; where stations or a router on an Ethernet link have to find addresses behind this host, name that interface with \"--interface NAME\" or under \"uplinks\""
	}
	return name
}
