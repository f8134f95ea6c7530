// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes the explanation for people.
func (e Explanation) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, u := range e.Answers {
		verdict := "is not answered"
		if u.Answered {
			verdict = "is answered"
		}
		fmt.Fprintf(&b, "%s on %s %s: %s (%s)\n", e.Target, u.Interface, verdict, u.Why, u.Reason)
		if u.Rule != nil {
			fmt.Fprintf(&b, "  rule           rules[%d]: %s %s\n", u.Rule.Index, u.Rule.Prefix, u.Rule.Method)
		}
		if a := u.Advertisement; a != nil {
			fmt.Fprintf(&b, "  advertisement  is at %s, router %s, solicited yes, override %s", a.MAC, yesNo(a.Router), yesNo(a.Override))
			if a.Delay != "" {
				fmt.Fprintf(&b, ", after %s", a.Delay)
			}
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteText writes the status for people.
func (s Status) WriteText(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, name+"\t"+format+"\n", args...)
	}
	row("ndproxyd", "%s, process %d, running for %s", s.Version.Version, s.PID, time.Since(s.Started).Round(time.Second))
	reload := "the last load succeeded"
	if !s.Reload.Successful {
		reload = "the last load FAILED, older rules are in force"
	}
	row("configuration", "%s, %d rules, %s", s.Config, s.Rules, reload)
	for _, u := range s.Uplinks {
		why := ""
		if u.Why != "" {
			why = ": " + u.Why
		}
		row("uplink "+u.Interface, "%s%s, for %s", u.State, why, time.Since(u.Since).Round(time.Second))
		if u.Name != "" {
			row("  device", "%s", u.Name)
		}
		if u.MAC != "" {
			row("  answers with", "%s, router %s, source %s", u.MAC, yesNo(u.Router), u.Source)
		}
		row("  membership", "%s: %d groups joined, all-multicast %s", u.Membership.Mode, u.Membership.Groups, onOff(u.Membership.AllMulti))
		row("  solicitations", "%d received, %d answered, %d lost in the kernel", u.Received, u.Answered, u.Drops)
		for _, r := range slices.Sorted(maps.Keys(u.Ignored)) {
			row("  ignored", "%d %s", u.Ignored[r], r)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}
