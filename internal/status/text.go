// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// WriteText writes the explanation for people.
func (e Explanation) WriteText(w io.Writer) error {
	var b strings.Builder
	if e.NoUplink != "" {
		fmt.Fprintf(&b, "%s is not answered: there is no uplink: %s (no_uplink)\n", e.Target, e.NoUplink)
		e.Entry.write(&b)
	}
	for _, u := range e.Answers {
		verdict := "is not answered"
		if u.Answered {
			verdict = "is answered"
		}
		fmt.Fprintf(&b, "%s on %s %s: %s (%s)\n", e.Target, u.Interface, verdict, u.Why, u.Reason)
		if u.Rule != nil {
			fmt.Fprintf(&b, "  rule           %s\n", u.Rule)
		}
		u.Entry.write(&b)
		if u.Remedy != "" {
			fmt.Fprintf(&b, "  remedy         %s\n", u.Remedy)
		}
		if c := u.Cluster; c != nil {
			c.write(&b)
		}
		for _, w := range u.Waits {
			fmt.Fprintf(&b, "  waits          %s\n", w)
		}
		if c := u.Conflict; c != nil {
			fmt.Fprintf(&b, "  conflict       with %s since %s\n", c.MAC, c.Since.Format(time.DateTime))
		}
		if a := u.Advertisement; a != nil {
			fmt.Fprintf(&b, "  advertisement  is at %s, router %s, solicited yes, override %s", a.MAC, yesNo(a.Router), yesNo(a.Override))
			if a.Delay != "" {
				fmt.Fprintf(&b, ", after %s", a.Delay)
			}
			b.WriteByte('\n')
		}
		u.Answerer.write(&b)
		if u.Before != "" {
			fmt.Fprintf(&b, "  before that    %s\n", u.Before)
		}
		if u.DAD != "" {
			fmt.Fprintf(&b, "  not defended   %s\n", u.DAD)
		}
		if a := u.Announcement; a != nil {
			fmt.Fprintf(&b, "  announced      since %s, %d times to come\n", a.Begun.Format(time.DateTime), a.Left)
		}
		for _, r := range u.Last {
			fmt.Fprintf(&b, "  last asked     %s by %s, %s: %s\n", r.At.Format(time.DateTime), r.asker(), r.Kind, r.Reason)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// write writes the entry for people; nil is none.
func (e *Entry) write(b *strings.Builder) {
	if e == nil {
		return
	}
	fmt.Fprintf(b, "  evidence       %s\n", e)
	for _, r := range e.NotFollowed {
		fmt.Fprintf(b, "  not followed   policy rule %s\n", r)
	}
}

// String shows the entry in one line.
func (e *Entry) String() string {
	s := e.Source
	if e.Route == "" && e.Prefix != "" {
		s += ": " + e.Prefix
	}
	if e.Route != "" {
		s += ": " + e.Route
		switch {
		case e.Table != 0 && e.PolicyRule != "":
			s += fmt.Sprintf(" (table %d, by the policy rule %q)", e.Table, e.PolicyRule)
		case e.Table != 0:
			s += fmt.Sprintf(" (table %d)", e.Table)
		}
	}
	if e.Source == rules.Probed.String() {
		s += ", answered on " + e.Device
	}
	if e.Since != nil {
		s += ", since " + e.Since.Format(time.DateTime)
	}
	return s
}

// WriteText writes the event for people.
func (e WatchEvent) WriteText(w io.Writer) error {
	var err error
	if e.Solicitation == nil {
		_, err = fmt.Fprintf(w, "(%d more than could be shown)\n", e.Missed)
		return err
	}
	_, err = fmt.Fprintf(w, "%s %s %s %s asks for %s: %s\n", e.At.Format("15:04:05.000000"), e.Interface, e.Kind, e.asker(), e.Target, e.Reason)
	return err
}

func (r *Solicitation) asker() string {
	if r.Source.IsValid() && !r.Source.IsUnspecified() {
		return r.Source.String() + " (" + r.MAC + ")"
	}
	return r.MAC
}

// text is the state of a file of targets in one line.
func (f TargetFile) text() string {
	text := fmt.Sprintf("%d targets", f.Targets)
	if f.Held > 0 {
		text += fmt.Sprintf(", %d of them held although the file does not list them any more", f.Held)
	}
	if f.Faults > 0 {
		text += fmt.Sprintf(", %d lines do not count", f.Faults)
	}
	if f.Problem != "" {
		text += ": " + f.Problem
	}
	return text
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
	for _, r := range s.RuleStates {
		name := fmt.Sprintf("  rules[%d]", r.Index)
		row(name, "%s", r.Rule)
		for _, line := range r.Lines() {
			row("", "  %s", line)
		}
	}
	row("evidence", "%d kernel routes, %d probed addresses", s.Entries[rules.Kernel.String()], s.Entries[rules.Probed.String()])
	for _, r := range s.NotFollowed {
		row("  not followed", "policy rule %s", r)
	}
	for _, f := range s.Files {
		row("file "+f.Path, "%s", f.text())
	}
	if s.Cluster != nil {
		s.Cluster.write(row)
	}
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
		u.FastPath.write(row)
		row("  solicitations", "%d received, %d answered, %d lost in the kernel", u.Received, u.Answered, u.Drops)
		row("  announcements", "%d sent, %d addresses under way", u.Announced, u.Announcing)
		for _, c := range u.Conflicts {
			row("  conflict", "%s is at %s, since %s", c.Address, c.MAC, c.Since.Format(time.DateTime))
		}
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
