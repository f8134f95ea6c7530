// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"net/netip"
	"strings"
)

// While are conditions of the host under which a rule holds. All that are given have to
// be met. The zero While is met at any time.
type While struct {
	// Address is one that a device of the host has to have, ready to be used; not valid
	// for no such condition.
	Address netip.Addr
	// Interface is the name of one that has to be up, "" for no such condition.
	Interface string
}

// IsZero reports whether there is no condition.
func (w While) IsZero() bool { return w == While{} }

// String returns the conditions in the form of a sentence's end.
func (w While) String() string {
	var parts []string
	if w.Address.IsValid() {
		parts = append(parts, "the host has "+w.Address.String())
	}
	if w.Interface != "" {
		parts = append(parts, w.Interface+" is up")
	}
	return strings.Join(parts, " and ")
}

// ParseWhileAddress reads the address of a condition. Its errors say how to correct the
// text.
func ParseWhileAddress(s string) (netip.Addr, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return netip.Addr{}, fmt.Errorf("%q has a length: the condition is one address (did you mean %q?)", s, p.Addr())
	}
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q is not an IPv6 address (example: \"2001:db8::5\")", s)
	case a.Is4() || a.Is4In6():
		return netip.Addr{}, fmt.Errorf("%q is IPv4: name an IPv6 address that moves with it, or an interface", s)
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%q names a zone: leave out %q, any device may have the address", s, "%"+a.Zone())
	case a.IsMulticast() || a.IsUnspecified() || a.IsLoopback():
		return netip.Addr{}, fmt.Errorf("%q is no address that moves from host to host", s)
	}
	return a, nil
}
