// SPDX-License-Identifier: Apache-2.0

package behind

import "net/netip"

// Explanation tells what the kernel's routes say of an address, and what the
// Judge makes of it.
type Explanation struct {
	// Route is the route that decides, as "ip -6 route" shows it, "" for none.
	Route string `json:"route,omitempty"`
	// Table is the number of the table that has it.
	Table uint32 `json:"table,omitempty"`
	// Behind is true when the route leads behind this node, and Why tells why
	// it does not.
	Behind bool   `json:"behind"`
	Why    string `json:"why,omitempty"`
	// NotFollowed are policy rules that may make the kernel decide otherwise.
	NotFollowed []string `json:"not_followed,omitempty"`
}

// Explain tells how the entry for an address comes about.
func (j *Judge) Explain(a netip.Addr) (e Explanation) {
	j.read(func(v judgment) { e = v.explain(a) })
	return e
}

func (v judgment) explain(a netip.Addr) Explanation {
	e := Explanation{NotFollowed: v.tables.Policy()}
	if a.IsLinkLocalUnicast() || a.IsMulticast() { // hostwatch leaves their routes out
		e.Why = "a link-local or multicast address belongs to one link, and is never behind this node"
		return e
	}
	d, ok := v.tables.Decide(netip.PrefixFrom(a, a.BitLen()))
	if !ok {
		e.Why = "the kernel has no route for the address"
		return e
	}
	d.Paths = v.taken(d.Paths)
	e.Route, e.Table = v.tables.Format(d), d.Table
	for _, p := range d.Paths {
		if _, why := v.judge(p); why != "" {
			e.Why = "the route " + why
			break
		}
	}
	if d.Prefix.Bits() == 0 {
		e.Why = "a default route never counts"
	}
	e.Behind = e.Why == ""
	return e
}
