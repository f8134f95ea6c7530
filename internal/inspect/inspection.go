// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"io"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/status"
)

// Inspection is what a configuration comes to on this host.
type Inspection struct {
	Uplinks []UplinkInspection `json:"uplinks"`
	Rules   int                `json:"rules"`
	// Seen is what is there, where nothing would be answered or something is left out.
	Seen []string `json:"seen,omitempty"`
	// RuleStates are of the rules that follow the uplinks.
	RuleStates []status.RuleState `json:"rule_states,omitempty"`
	Findings   []Finding          `json:"findings"`
}

// UplinkInspection tells whether an uplink could answer.
type UplinkInspection struct {
	Interface string `json:"interface"`
	State     string `json:"state"`
	// Why says why the uplink is not ready.
	Why string `json:"why,omitempty"`
}

// Summary counts what there is, for the first line of the check command.
func (i Inspection) Summary() string {
	warnings := 0
	for _, f := range i.Findings {
		if f.Severity == Warning {
			warnings++
		}
	}
	s := plural(len(i.Uplinks), "uplink", "uplinks") + ", " + plural(i.Rules, "rule", "rules") + ", " + plural(warnings, "warning", "warnings")
	if n := len(i.Findings) - warnings; n > 0 {
		s += fmt.Sprintf(", %d for information", n)
	}
	return s
}

// WriteText writes the uplinks that are not ready and the findings, the warnings
// first.
func (i Inspection) WriteText(w io.Writer) error {
	var b strings.Builder
	if len(i.Seen) > 0 {
		b.WriteString("\nlooked for: " + discover.LookedFor + "\n")
	}
	for _, line := range i.Seen {
		b.WriteString("  " + line + "\n")
	}
	for _, u := range i.Uplinks {
		if u.Why != "" {
			fmt.Fprintf(&b, "\n%s: %s (%s)\n", u.Interface, u.Why, u.State)
		}
	}
	for _, s := range i.RuleStates {
		fmt.Fprintf(&b, "\nrules[%d] %s\n", s.Index, s.Rule)
		for _, line := range s.Lines() {
			b.WriteString("  " + line + "\n")
		}
	}
	for _, s := range []Severity{Warning, Info} {
		for _, f := range i.Findings {
			if f.Severity != s {
				continue
			}
			b.WriteString("\n")
			if f.Interface != "" {
				b.WriteString(f.Interface + ": ")
			}
			fmt.Fprintf(&b, "%s (%s, %s)\n  effect: %s\n  remedy: %s\n", f.Problem, f.Severity, f.Reason, f.Effect, f.Remedy)
			if f.Config != "" {
				b.WriteString("  configuration:\n")
			}
			for line := range strings.Lines(f.Config) {
				b.WriteString("    " + line)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
