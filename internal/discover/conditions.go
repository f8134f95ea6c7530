// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// AddressState is how far an address of the host is.
type AddressState uint8

// The states of an address.
const (
	// AddressAbsent: no device has it.
	AddressAbsent AddressState = iota
	// AddressTentative: duplicate address detection runs (RFC 4862 §5.4).
	AddressTentative
	// AddressDuplicate: duplicate address detection found another station.
	AddressDuplicate
	// AddressUsable: a device has it, and may use it.
	AddressUsable
)

// InterfaceState is whether an interface is up.
type InterfaceState uint8

// The states of an interface.
const (
	// InterfaceAbsent: there is none of the name.
	InterfaceAbsent InterfaceState = iota
	// InterfaceDown: it is down, or has no carrier.
	InterfaceDown
	// InterfaceUp: it is up, and has a carrier.
	InterfaceUp
)

// Conditions are the facts about the host that the conditions of rules are about. What
// is in neither map is absent.
type Conditions struct {
	Addresses  map[netip.Addr]AddressState
	Interfaces map[string]InterfaceState
}

// Unmet tells in one sentence, without a full stop, what a rule with conditions waits
// for; "" where they are met.
func (c Conditions) Unmet(w rules.While) string {
	var parts []string
	if w.Address.IsValid() {
		switch c.Addresses[w.Address] {
		case AddressAbsent:
			parts = append(parts, "no device has "+w.Address.String())
		case AddressTentative:
			parts = append(parts, "duplicate address detection for "+w.Address.String()+" is under way")
		case AddressDuplicate:
			parts = append(parts, "duplicate address detection for "+w.Address.String()+" has failed: another station has it")
		case AddressUsable:
		}
	}
	if w.Interface != "" {
		switch c.Interfaces[w.Interface] {
		case InterfaceAbsent:
			parts = append(parts, "there is no interface "+w.Interface)
		case InterfaceDown:
			parts = append(parts, w.Interface+" is down or has no carrier")
		case InterfaceUp:
		}
	}
	return strings.Join(parts, ", and ")
}

// Hold marks the rules that wait for their conditions. A rule that waits stays in the
// table: it answers for nothing, and keeps wider rules from answering in its place.
func Hold(rs []rules.Rule, c Conditions) []rules.Rule {
	out := rs
	for i, r := range rs {
		if r.While.IsZero() || c.Unmet(r.While) == "" {
			continue
		}
		if &out[0] == &rs[0] {
			out = slices.Clone(rs)
		}
		out[i].Waiting = true
	}
	return out
}
