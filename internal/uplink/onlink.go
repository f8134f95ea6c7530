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
	now := rules.OnLink(u.link, u.options.System.Hops(u.link.Index).OnLink)
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
