// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// onLink are the on-link prefixes of the uplink, as the store has them.
type onLink struct {
	prefixes []netip.Prefix
	device   int  // that they are of
	former   bool // they are of before the device was replaced or went down
}

// read reads which prefixes are on-link, and tells the store. The kernel drops
// addresses and routes of a device that is replaced or goes down, and the stations of
// the link keep theirs. So the former prefixes count until there is one again.
func (o *onLink) read(u *Uplink) {
	now := withSingles(rules.OnLink(u.link, u.options.System.Hops(u.link.Index).OnLink), u.link)
	o.former = len(now) == 0 && (o.former || u.link.Index != o.device || !u.link.Up)
	if o.former {
		return
	}
	o.device = u.link.Index
	if !slices.Equal(o.prefixes, now) {
		o.prefixes = now
		u.options.Store.SetOnLink(u.name, now)
	}
}

// withSingles adds the single addresses of the uplink, those with a length of 128, that
// are in none of the on-link prefixes. Such an uplink has no prefix, as some providers
// and modems assign it (RFC 7278), but other stations of the link may have addresses
// around its own: a rule that covers it covers theirs.
func withSingles(onLink []netip.Prefix, link rules.Link) []netip.Prefix {
	all := slices.Clone(onLink)
	for _, a := range link.Addresses {
		covered := slices.ContainsFunc(onLink, func(p netip.Prefix) bool { return p.Contains(a.Prefix.Addr()) })
		if a.Prefix.IsSingleIP() && !covered && rules.CheckPrefix(a.Prefix) == nil {
			all = append(all, a.Prefix)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}
