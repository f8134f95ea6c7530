// SPDX-License-Identifier: Apache-2.0

package config

import "github.com/ndproxyd/ndproxyd/pkg/rules"

// readWhile reads the conditions under which a rule holds.
func readWhile(v value, into *rules.While) {
	before := len(v.errors)
	v.mapping(
		field{"address", func(v value) {
			s, ok := v.text()
			if !ok {
				return
			}
			var err error
			if into.Address, err = rules.ParseWhileAddress(s); err != nil {
				v.fail("%v", err)
			}
		}},
		field{"interface", func(v value) {
			s, ok := v.text()
			if !ok {
				return
			}
			if into.Interface = s; s == loopback {
				v.fail("%q is up on every host: name an interface that goes up and down", s)
			} else if err := CheckInterface(s); err != nil {
				v.fail("%v", err)
			}
		}},
	)
	if len(v.errors) == before && into.IsZero() {
		v.fail("the conditions are missing: an address that the host has, or an interface that is up (example: {address: 2001:db8::5})")
	}
}
