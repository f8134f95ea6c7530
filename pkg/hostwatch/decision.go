// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"iter"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Tables are the routing tables, as one lookup asks them, and devices at one moment.
// Only the function that [Routes.Read] calls may use them, and must not keep them.
type Tables struct {
	r *Routes
	l Lookup
}

// Read calls f with the tables of the default lookup, which hold still until it
// returns. f must not call methods of r, and must not wait for anything: the watcher
// waits for it.
func (r *Routes) Read(f func(Tables)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	f(Tables{r, r.lookups[0]})
}

// Of returns the tables as the lookup with that index asks them, see
// [Routes.Follow]. One that is not there any more finds nothing.
func (t Tables) Of(lookup int) Tables {
	if t.l = nil; lookup < len(t.r.lookups) {
		t.l = t.r.lookups[lookup]
	}
	return t
}

// From returns the tables as a lookup from an origin asks them, which need not be
// followed.
func (t Tables) From(o Origin) Tables {
	t.l, _ = t.r.lookup(o)
	return t
}

// Decision is the route that the kernel takes for a prefix.
type Decision struct {
	// Prefix holds the destinations that the decision is made for: it is the route's
	// own, or that of a policy rule which chooses the table for fewer.
	Prefix netip.Prefix
	// At is the longest prefix of those that were looked at on the way. It is longer
	// than Prefix where a route was passed over.
	At netip.Prefix
	// Route is the route's own prefix; invalid where no route decides, but a policy
	// rule, or nothing.
	Route netip.Prefix
	// Table is the number of the table that has the route, and Rule the policy rule
	// that leads there, as "ip -6 rule" shows it.
	Table uint32
	Rule  string
	// Paths are those with the lowest metric, at least one, in the kernel's
	// order. They are shared: do not change them.
	Paths []Path
}

// at notes a prefix that has a part in the decision.
func (d *Decision) at(p netip.Prefix) {
	if !d.At.IsValid() || d.At.Bits() < p.Bits() {
		d.At = p
	}
}

// take makes a table's route the decision.
func (d *Decision) take(s *step, at netip.Prefix, paths []Path) {
	d.Prefix, d.Route, d.Table, d.Rule, d.Paths = at, at, s.id, s.text, paths
	if s.to.IsValid() && !s.except && s.to.Bits() > at.Bits() {
		d.Prefix = s.to
	}
}

// pass notes a route that is passed over: one of the type throw is shown where
// nothing comes after it.
func (d *Decision) pass(s *step, at netip.Prefix, paths []Path) {
	if paths[0].Kind == unix.RTN_THROW {
		d.take(s, at, paths)
	}
}

// refuse makes a policy rule the decision.
func (d *Decision) refuse(s *step) {
	*d = Decision{Prefix: netip.PrefixFrom(netip.IPv6Unspecified(), 0), At: d.At, Rule: s.text, Paths: []Path{{Kind: s.refuse}}}
	if s.to.IsValid() && !s.except {
		d.Prefix = s.to
	}
}

// finish makes a decision of a walk through all steps; it returns false where none
// of them has anything for the prefix.
func (d Decision) finish(decided bool) (Decision, bool) {
	if len(d.Paths) == 0 && d.At.IsValid() { // all was passed over
		d.Prefix, d.Paths = d.At, []Path{{Kind: unix.RTN_UNREACHABLE}}
	}
	return d, decided || d.At.IsValid()
}

// Decide returns what the kernel takes for a prefix as a whole: the most specific
// route of the first table that has one. It returns false for no route.
func (t Tables) Decide(p netip.Prefix) (Decision, bool) {
	d, _, decided := t.l.walk(t.r, p, Decision{}, 0, len(t.l))
	return d.finish(decided)
}

// Decisions yields the decisions for all prefixes that need one of their own, their
// At, in no order: for an address that of the longest one holds. Routes that no
// packet gets to see are left out.
func (t Tables) Decisions() iter.Seq[Decision] {
	return t.Within(netip.PrefixFrom(netip.IPv6Unspecified(), 0))
}

// Within yields those of [Tables.Decisions] for parts of a prefix.
func (t Tables) Within(p netip.Prefix) iter.Seq[Decision] {
	of := func(t *table) iter.Seq2[netip.Prefix, *[]Path] { return t.paths.Subnets(p) }
	if p.Bits() == 0 {
		of = func(t *table) iter.Seq2[netip.Prefix, *[]Path] { return t.paths.All() }
	}
	return func(yield func(Decision) bool) { t.l.all(t.r, p, of, yield) }
}

// Device returns the device with that index, and false for none.
func (t Tables) Device(index int32) (Device, bool) {
	d, ok := t.r.devices[index]
	return d, ok
}

// Index returns the index of the device with that name, 0 for none.
func (t Tables) Index(name string) int32 { return t.r.names[name] }

// Policy returns the policy rules that are not followed, as "ip -6 rule" shows
// them.
func (t Tables) Policy() []string { return t.r.unsure }

// Format shows a decision's route as "ip -6 route" does, "" where no route decides.
func (t Tables) Format(d Decision) string {
	if !d.Route.IsValid() {
		return ""
	}
	var b strings.Builder
	if d.Paths[0].Kind != unix.RTN_UNICAST {
		b.WriteString(d.Paths[0].TypeName() + " ")
	}
	if d.Route.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(d.Route.String())
	}
	for _, p := range d.Paths {
		if p.Gateway.IsValid() {
			b.WriteString(" via " + p.Gateway.String())
		}
		if p.Index != 0 {
			b.WriteString(" dev " + t.r.deviceName(p.Index))
		}
	}
	return b.String()
}

// deviceName returns a device's name, or its index as text where it is unknown.
func (r *Routes) deviceName(index int32) string {
	if d := r.devices[index]; d.Name != "" {
		return d.Name
	}
	return strconv.Itoa(int(index))
}
