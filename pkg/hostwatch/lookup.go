// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"iter"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Origin is where a lookup starts: with a packet that arrives on a device, or with
// one table.
type Origin struct {
	// Device is the name of the device that packets arrive on, and Index its index
	// where that is known: after a renaming it is found by that.
	Device string
	Index  int32
	// Table is the number of a table that is asked alone, without any policy rule; 0
	// for what the policy rules say of packets from Device.
	Table uint32
}

// Lookup is how the kernel finds the route for a packet: the tables that it asks, one
// after the other, each for some destinations or all.
type Lookup []step

// step is what one policy rule says.
type step struct {
	// to are the destinations that it holds for, or does not with except; invalid
	// for all.
	to     netip.Prefix
	except bool
	// next is the step that a goto leads to, 0 for no goto.
	next int
	// refuse is the type of route that stands for a rule which ends the search, 0
	// for one that asks a table.
	refuse uint8
	// id is the number of the table. Its routes do not count up to the length
	// suppress, nor by devices of the group.
	id       uint32
	suppress int
	group    int64

	// again is true where an earlier step asks the table, too, whatever the
	// destination is.
	again bool

	table *table
	text  string // the rule
}

// same reports whether two lookups find the same routes.
func (l Lookup) same(o Lookup) bool {
	return slices.EqualFunc(l, o, func(a, b step) bool {
		a.table, a.text, b.table, b.text = nil, "", nil, ""
		return a == b
	})
}

// asks reports whether a lookup asks a table.
func (l Lookup) asks(id uint32) bool {
	return slices.ContainsFunc(l, func(s step) bool { return s.table != nil && s.id == id })
}

// markRepeated finds the steps that ask a table again.
func (l Lookup) markRepeated() {
	asked := make(map[uint32]bool)
	for i := range l {
		s := &l[i]
		if s.next > 0 { // what is asked from here on depends on the destination
			return
		}
		if s.table != nil {
			s.again = asked[s.id]
			asked[s.id] = asked[s.id] || !s.to.IsValid()
		}
	}
}

// holds reports whether a step holds for a prefix as a whole: for those of its
// addresses that no more specific prefix of a step has.
func (s *step) holds(p netip.Prefix) bool {
	return !s.to.IsValid() || covers(s.to, p) != s.except
}

// covers reports whether all addresses of q are in p.
func covers(p, q netip.Prefix) bool { return p.Bits() <= q.Bits() && p.Contains(q.Addr()) }

// arrival is what policy rules may select by of the packets that arrive on a device.
type arrival struct {
	// device is the name by which rules know where a packet comes from: a packet
	// from a device in a VRF comes from the VRF (vrf_ip6_rcv of the kernel).
	device string
	// vrf is the VRF's table, 0 for no VRF.
	vrf uint32
}

// arrival returns what rules may select by of packets from a device.
func (r *Routes) arrival(o Origin) arrival {
	d, ok := r.devices[o.Index]
	if !ok {
		if d, ok = r.devices[r.names[o.Device]]; !ok { // a rule for it is there before it
			return arrival{device: o.Device}
		}
	}
	if master := r.devices[d.Master]; d.Master != 0 && master.VRF != 0 {
		return arrival{master.Name, master.VRF}
	}
	return arrival{device: d.Name}
}

// match is whether a rule applies to packets.
type match uint8

const (
	never match = iota
	// perhaps: it depends on more than the device and the destination.
	perhaps
	always // for the destinations that it names
)

// match tells whether a rule applies to packets that arrive somewhere, and whether
// that depends on their destination. They have no mark: one that a firewall sets
// cannot be known. Nor do they come from a socket.
func (a arrival) match(r *policyRule) (m match, byDestination bool) {
	byMark := false
	switch m = always; {
	case r.iif != "" && r.iif != a.device, r.oif, r.l3mdev && a.vrf == 0:
		m = never
	case r.unknown:
		m = perhaps
	case r.marked && r.mark&r.mask != 0:
		m, byMark = never, true
	}
	byDestination = m == always && r.to.IsValid()
	switch {
	case !r.inverted && byMark:
		m = perhaps // packets with the mark
	case r.inverted && m == never, r.inverted && byDestination:
		m = always
	case r.inverted && m == always:
		m = never
	}
	return m, byDestination
}

// lookup returns what the policy rules make of an origin, and the rules that may
// apply to some packets from there and are not followed.
func (r *Routes) lookup(o Origin) (l Lookup, unsure []string) {
	if o.Table != 0 {
		return Lookup{{id: o.Table, suppress: -1, group: -1, table: r.peek(o.Table)}}, nil
	}
	a := r.arrival(o)
	jumps := make(map[int]uint32) // by step
	first := make([]int, 0, len(r.policy))
	for i := range r.policy {
		rule := &r.policy[i]
		first = append(first, len(l)) // the step that a goto to this rule leads to
		m, byDestination := a.match(rule)
		if m == perhaps && rule.action != actionNop {
			unsure = append(unsure, rule.text)
		}
		if m != always || rule.action == actionNop {
			continue
		}
		s := step{suppress: rule.suppress, group: rule.group, text: rule.text}
		if byDestination {
			s.to, s.except = rule.to, rule.inverted
		}
		switch {
		case rule.action == actionGoto:
			jumps[len(l)] = rule.target
		case rule.action != actionTable:
			s.refuse = rule.refusal()
		case rule.l3mdev:
			s.id, s.table = a.vrf, r.peek(a.vrf)
		default:
			s.id, s.table = rule.table, r.peek(rule.table)
		}
		l = append(l, s)
	}
	for i, priority := range jumps {
		at := slices.IndexFunc(r.policy, func(rule policyRule) bool { return rule.priority == priority })
		if at < 0 || first[at] <= i { // the kernel goes on with the next rule (FIB_RULE_UNRESOLVED)
			l[i].next = i + 1
			continue
		}
		l[i].next = first[at]
	}
	l.markRepeated()
	return l, unsure
}

// peek returns the table with a number, and an empty one where there is none.
func (r *Routes) peek(id uint32) *table {
	if t := r.tables[id]; t != nil {
		return t
	}
	return new(table)
}

// table returns the table with a number, and makes it where there is none.
func (r *Routes) table(id uint32) *table {
	t := r.peek(id)
	r.tables[id] = t
	return t
}

// passes reports whether the kernel goes on with the next rule although the table has
// a route: one that says so, or that the rule does not let count. Refusals always
// count (fib_rules_lookup).
func (s *step) passes(r *Routes, at netip.Prefix, paths []Path) bool {
	switch paths[0].Kind {
	case unix.RTN_THROW:
		return true
	case unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT:
		return false
	}
	return at.Bits() <= s.suppress || s.group >= 0 && int64(r.devices[paths[0].Index].Group) == s.group
}

// walk takes the steps from one up to another for a prefix as a whole, until one
// decides. last is what the steps before came to, and next the step that follows.
func (l Lookup) walk(r *Routes, p netip.Prefix, last Decision, from, to int) (d Decision, next int, decided bool) {
	d, next = last, from
	for next < to {
		s := &l[next]
		next++
		if s.to.IsValid() && covers(s.to, p) {
			d.at(s.to)
		}
		if !s.holds(p) {
			continue
		}
		if s.next > 0 {
			next = s.next
			continue
		}
		if s.refuse != 0 {
			d.refuse(s)
			return d, next, true
		}
		at, paths, found := s.table.covering(p)
		if !found {
			continue
		}
		d.at(at)
		if s.passes(r, at, paths) {
			d.pass(s, at, paths)
			continue
		}
		d.take(s, at, paths)
		return d, next, true
	}
	return d, next, false
}

// all yields the prefixes that the lookup needs a decision for, with the decision:
// for the addresses of any prefix, that of the longest one decides. of yields those
// of a table.
func (l Lookup) all(r *Routes, within netip.Prefix, of func(*table) iter.Seq2[netip.Prefix, *[]Path], yield func(Decision) bool) {
	for i := range l {
		s := &l[i]
		if s.to.IsValid() && covers(within, s.to) {
			if d, ok := l.from(r, s.to, i); ok && !yield(d) {
				return
			}
		}
		if s.table == nil {
			continue
		}
		routes := of
		switch narrow := s.to.IsValid() && !s.except; {
		case narrow && !s.to.Overlaps(within):
			continue
		case narrow && s.to.Bits() > within.Bits(): // few of many routes
			routes = func(t *table) iter.Seq2[netip.Prefix, *[]Path] { return t.paths.Subnets(s.to) }
		}
		for p, paths := range routes(s.table) {
			if s.to == p || !s.holds(p) {
				continue
			}
			d, next, decided := l.walk(r, p, Decision{}, 0, i)
			if decided || next != i || d.At == p { // hidden, jumped over, or yielded before
				continue
			}
			d.at(p)
			if paths := best(*paths); s.passes(r, p, paths) {
				d.pass(s, p, paths)
				d, _, decided = l.walk(r, p, d, i+1, len(l))
			} else {
				d.take(s, p, paths)
			}
			if d, ok := d.finish(decided); ok && !yield(d) {
				return
			}
		}
	}
}

// from returns the decision for the destinations of step i, unless an earlier step
// decides or has the same prefix.
func (l Lookup) from(r *Routes, p netip.Prefix, i int) (Decision, bool) {
	d, next, decided := l.walk(r, p, Decision{}, 0, i)
	if decided || next != i || d.At == p {
		return Decision{}, false
	}
	d, _, decided = l.walk(r, p, d, i, len(l))
	return d.finish(decided)
}

// affected appends the prefixes that a change of a table's route for p may decide
// otherwise, beside p itself: those inside of it that later steps have, that earlier
// steps pass over, or that rules name.
func (l Lookup) affected(id uint32, p netip.Prefix, into []netip.Prefix) []netip.Prefix {
	at := slices.IndexFunc(l, func(s step) bool { return s.table != nil && s.id == id })
	if at < 0 {
		return into
	}
	for i := range l {
		s := &l[i]
		if s.to.IsValid() && s.to != p && covers(p, s.to) {
			into = append(into, s.to)
		}
		switch {
		case s.table == nil || s.id == id || s.again || s.to.IsValid() && !s.except && !s.to.Overlaps(p):
		case i > at:
			for q := range s.table.paths.Subnets(p) {
				into = append(into, q)
			}
		case s.table.throws > 0 || s.suppress > p.Bits() || s.group >= 0:
			for q, paths := range s.table.paths.Subnets(p) {
				if (*paths)[0].Kind == unix.RTN_THROW || q.Bits() <= s.suppress || s.group >= 0 {
					into = append(into, q)
				}
			}
		}
	}
	return into
}
