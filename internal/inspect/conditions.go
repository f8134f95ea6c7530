// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Conditions returns the facts about this host that the conditions of rules are about.
// It reads no more than these name. What could not be read counts as absent.
func Conditions(routes *hostwatch.Routes, rs []rules.Rule) (discover.Conditions, error) {
	c := discover.Conditions{Addresses: make(map[netip.Addr]discover.AddressState), Interfaces: make(map[string]discover.InterfaceState)}
	var errs []error
	for _, r := range rs {
		if a := r.While.Address; a.IsValid() {
			state, err := addressState(a)
			c.Addresses[a] = state
			errs = append(errs, err)
		}
		if name := r.While.Interface; name != "" {
			c.Interfaces[name] = interfaceState(routes, name)
		}
	}
	return c, errors.Join(errs...)
}

func addressState(a netip.Addr) (discover.AddressState, error) {
	flags, found, err := hostwatch.ReadAddress(a)
	switch {
	case err != nil || !found:
		return discover.AddressAbsent, err
	case flags.Failed:
		return discover.AddressDuplicate, nil
	case flags.Tentative:
		return discover.AddressTentative, nil
	}
	return discover.AddressUsable, nil
}

func interfaceState(routes *hostwatch.Routes, name string) discover.InterfaceState {
	switch running, exists := routes.Running(name); {
	case !exists:
		return discover.InterfaceAbsent
	case !running:
		return discover.InterfaceDown
	}
	return discover.InterfaceUp
}

// inForce returns the rules that do not wait for their conditions.
func inForce(rs []rules.Rule) []rules.Rule {
	return slices.DeleteFunc(slices.Clone(rs), func(r rules.Rule) bool { return r.Waiting })
}
