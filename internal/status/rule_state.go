// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"net/netip"
)

// RuleState tells what a rule of the configuration comes to at present. There is one
// for each rule for which that depends on more than the configuration.
type RuleState struct {
	// Index is the rule's place in the configuration, and Rule how it is written.
	Index int    `json:"index"`
	Rule  string `json:"rule"`
	// Prefixes are what the template of the rule stands for.
	Prefixes []RulePrefix `json:"prefixes,omitempty"`
	// While are the conditions under which the rule holds, "" for none.
	While string `json:"while,omitempty"`
	// Waits tells what the rule waits for, in sentences without a full stop.
	Waits []string `json:"waits,omitempty"`
}

// RulePrefix is a prefix that the template of a rule stands for on an uplink.
type RulePrefix struct {
	Interface string       `json:"interface"`
	Prefix    netip.Prefix `json:"prefix"`
	// Deprecated is true for a prefix whose preferred lifetime is over. It is answered
	// for while it is valid.
	Deprecated bool `json:"deprecated,omitempty"`
	// Other is the rule that has the very prefix, and holds in place of this one.
	Other string `json:"other,omitempty"`
}

// String shows the prefix in one line.
func (p RulePrefix) String() string {
	s := fmt.Sprintf("%s on %s", p.Prefix, p.Interface)
	if p.Deprecated {
		s += deprecatedText
	}
	if p.Other != "" {
		s += ", left to the rule " + p.Other
	}
	return s
}

// deprecatedText goes behind a prefix whose preferred lifetime is over.
const deprecatedText = " (deprecated: answered for while it is valid)"

// Lines returns what is to be told of the rule, a line each.
func (s RuleState) Lines() []string {
	var lines []string
	for _, p := range s.Prefixes {
		lines = append(lines, p.String())
	}
	if s.While != "" {
		lines = append(lines, "holds only while "+s.While)
	}
	for _, w := range s.Waits {
		lines = append(lines, "waits: "+w)
	}
	return lines
}
