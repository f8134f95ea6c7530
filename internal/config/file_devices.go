// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// devices reads where the routes through devices lead. Each entry has a name or a
// kind of its own.
func (f *fileReader) devices(v value) {
	first := make(map[rules.DeviceSetting]int)
	v.list(func(v value) {
		var (
			s     rules.DeviceSetting
			key   value
			leads bool
		)
		before := len(v.errors)
		v.mapping(
			field{"name", func(v value) {
				var ok bool
				if s.Name, ok = v.text(); !ok {
					return
				}
				key = v
				name := strings.TrimSuffix(s.Name, "*")
				if strings.Contains(name, "*") {
					v.fail(`%q has a "*" that is not at its end`, s.Name)
				} else if err := CheckInterface(name); err != nil && name != loopback && s.Name != "*" {
					v.fail("%v", err)
				}
			}},
			field{"kind", func(v value) {
				var ok bool
				if s.Kind, ok = v.text(); ok && (s.Kind == "" || strings.ContainsAny(s.Kind, " /")) {
					v.fail(`%q is not a kind of devices: "ip -d link" shows them, such as wireguard or vxlan`, s.Kind)
				}
				key = v
			}},
			field{"leads", func(v value) {
				leads = true
				readName(v, &s.Leads, rules.LeadsNames())
			}},
		)
		switch {
		case len(v.errors) > before:
			return
		case (s.Name == "") == (s.Kind == ""):
			v.fail(`write one of the keys "name" and "kind"`)
			return
		case !leads:
			v.fail(`the key "leads" is missing: one of %s`, strings.Join(rules.LeadsNames(), ", "))
			return
		}
		which := rules.DeviceSetting{Name: s.Name, Kind: s.Kind}
		if line, ok := first[which]; ok {
			key.fail("%q is already on line %d: remove one", key.node.Value, line)
			return
		}
		first[which] = key.node.Line
		f.config.Devices = append(f.config.Devices, s)
	})
}
