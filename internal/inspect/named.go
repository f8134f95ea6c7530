// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// named looks for rules that name devices which are not there, or to which nothing of
// the rule's prefix is routed although it is routed elsewhere behind the node.
func (c *collector) named() {
	for _, r := range c.answering() {
		if len(r.Devices) == 0 {
			continue
		}
		missing := slices.DeleteFunc(slices.Clone(r.Devices), func(name string) bool { return !slices.Contains(c.Way.Missing, name) })
		other, whole := c.routedElsewhere(r)
		switch {
		case len(missing) > 0:
			c.missing(r, missing, other)
		case r.Method == rules.Route && whole: // a probe asks on the named ones, whatever the routes say
			c.warn(reasonNoRoute, "nothing is answered for what is behind "+other, "name "+other+` in "devices", or route the addresses to `+strings.Join(r.Devices, " or "),
				"the kernel routes %s to %s, and the rule names %s only", r.Prefix, other, strings.Join(r.Devices, " and "))
		}
	}
}

// missing tells of devices that a rule names and that do not exist. other is one to
// which the kernel routes addresses of the rule instead, "" for none.
func (c *collector) missing(r rules.Rule, missing []string, other string) {
	names, verb := strings.Join(missing, " and "), " does not exist"
	if len(missing) > 1 {
		verb = " do not exist"
	}
	problem := `the rule for ` + r.Prefix.String() + ` names ` + names + ` in "devices", which` + verb
	remedy := "create " + names + `, or mend the name in "devices"`
	if other != "" {
		problem += ", and the kernel routes addresses of the prefix to " + other
		remedy += ": " + other + " may be meant"
	}
	severity, effect := Warning, "the rule answers for nothing"
	if len(missing) < len(r.Devices) {
		severity, effect = Info, "nothing is answered for addresses behind "+names
	}
	c.add(severity, reasonNoRoute, effect, remedy, problem)
}

// routedElsewhere returns a device behind the node to which the kernel routes addresses
// of a rule, where it routes none to the devices that the rule names, and "" otherwise.
// whole is true where that is so for all of the rule's prefix, and not of a part that
// the rule may be meant to leave out.
func (c *collector) routedElsewhere(r rules.Rule) (device string, whole bool) {
	for _, d := range c.Way.Destinations {
		switch {
		case !d.Prefix.Overlaps(r.Prefix), d.Device.Index == 0: // which the host itself has
		case slices.Contains(r.Devices, d.Device.Name):
			return "", false
		case device == "":
			device, whole = d.Device.Name, d.Prefix.Bits() <= r.Prefix.Bits()
		}
	}
	return device, whole
}

// absent returns the devices that rules name and that do not exist.
func absent(rs []rules.Rule, index func(string) int32) []string {
	var out []string
	for _, r := range rs {
		for _, name := range r.Devices {
			if index(name) == 0 && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}
