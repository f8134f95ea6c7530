// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"fmt"
	"net/netip"
)

// ParsePrefix reads an IPv6 prefix, or an address as a prefix of 128 bits. Its
// errors say how to correct the text.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q names a zone: leave out %q and use the rule's uplinks", s, "%"+a.Zone())
		}
		p := netip.PrefixFrom(a, a.BitLen())
		return p, CheckPrefix(p)
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an IPv6 prefix (example: \"2001:db8:1::/64\")", s)
	}
	return p, CheckPrefix(p)
}

// CheckPrefix reports why a prefix cannot be a rule: it is not IPv6, has host
// bits set, or lies wholly in a range that is never answered for.
func CheckPrefix(p netip.Prefix) error {
	switch a := p.Addr(); {
	case !p.IsValid():
		return errors.New("a prefix is missing")
	case a.Is4() || a.Is4In6():
		return fmt.Errorf("%q is IPv4: neighbor discovery answers for IPv6 only", p)
	case p != p.Masked():
		return fmt.Errorf("%q has host bits set (did you mean %q?)", p, p.Masked())
	case a.IsMulticast():
		return fmt.Errorf("%q is multicast: it is never answered for (RFC 4861 §7.1.1)", p)
	case a.IsLinkLocalUnicast() && p.Bits() >= 10:
		return fmt.Errorf("%q is link-local: it is never answered for, each station of the link defends its own", p)
	case p.Bits() == 128 && (a.IsLoopback() || a.IsUnspecified()):
		return fmt.Errorf("%q can be no station's address on a link (RFC 4291 §2.5)", p)
	}
	return nil
}
