// SPDX-License-Identifier: Apache-2.0

package pools

import (
	"fmt"
	"net/netip"
	"slices"
)

// Pool is a set of prefixes of which services get addresses.
type Pool struct {
	// Name is what an annotation of a service names it by.
	Name string
	// Prefixes are used in their order, each from its lowest address on.
	Prefixes []netip.Prefix
	// Manual is true for a pool whose addresses only services get that ask for it, or
	// for the address.
	Manual bool
	// Namespaces are those whose services may use the pool; none means all.
	Namespaces []string
}

// Check returns an error that names what is wrong with pools, nil if nothing is.
func Check(pools []Pool) error {
	if len(pools) == 0 {
		return fmt.Errorf("no pool is configured: name one with prefixes")
	}
	for i, p := range pools {
		if p.Name == "" {
			return fmt.Errorf("pool %d has no name", i+1)
		}
		if len(p.Prefixes) == 0 {
			return fmt.Errorf("pool %q has no prefixes", p.Name)
		}
		for j, prefix := range p.Prefixes {
			a := prefix.Addr()
			switch {
			case !prefix.IsValid() || !a.Is6() || a.Is4In6():
				return fmt.Errorf("pool %q: %s is not an IPv6 prefix", p.Name, prefix)
			case prefix != prefix.Masked():
				return fmt.Errorf("pool %q: %s has bits behind its length: write %s", p.Name, prefix, prefix.Masked())
			case prefix.Bits() < 48:
				return fmt.Errorf("pool %q: %s is larger than any site's: write a prefix of the link, at most a /48", p.Name, prefix)
			case !a.IsGlobalUnicast():
				return fmt.Errorf("pool %q: %s is not unicast", p.Name, prefix)
			}
			for k, q := range pools[:i+1] {
				for l, other := range q.Prefixes {
					if (k < i || l < j) && prefix.Overlaps(other) {
						return fmt.Errorf("pool %q: %s overlaps %s of pool %q", p.Name, prefix, other, q.Name)
					}
				}
			}
		}
		if slices.ContainsFunc(pools[:i], func(q Pool) bool { return q.Name == p.Name }) {
			return fmt.Errorf("pool %q is there twice", p.Name)
		}
	}
	return nil
}

// contains reports whether the pool gives an address away. The lowest of a prefix is the
// subnet-router anycast address of RFC 4291 §2.6.1 where that is a subnet, and is left
// out, except where a prefix has no more than two.
func (p *Pool) contains(a netip.Addr) bool {
	return slices.ContainsFunc(p.Prefixes, func(prefix netip.Prefix) bool {
		return prefix.Contains(a) && (a != prefix.Addr() || prefix.Bits() >= 127)
	})
}

// serves reports whether services of a namespace may use the pool.
func (p *Pool) serves(namespace string) bool {
	return len(p.Namespaces) == 0 || slices.Contains(p.Namespaces, namespace)
}
