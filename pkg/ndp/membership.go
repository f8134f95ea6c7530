// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// autoGroups is the widest prefix in groups, 2⁸ of a /120, that auto joins.
	autoGroups = 1 << 8
	// autoTotal bounds the groups that auto joins in all, which is room for the
	// pods of a node. The kernel searches a device's groups one by one for each
	// multicast packet, at about 12 ns each (BenchmarkChurn).
	autoTotal = 256
	// autoAgain is how few groups have to be left before prefixes that found
	// no room are looked at again: looking costs as much as there are of them.
	autoAgain = autoTotal * 3 / 4
	// maxUnjoined bounds the prefixes that the status lists.
	maxUnjoined = 16
	// joinGroups is the widest prefix, a /112, that can be joined on demand.
	joinGroups = 1 << 16
	// allGroups is the number of solicited-node groups, RFC 4291 §2.7.1.
	allGroups = 1 << 24
)

// groupJoiner joins and leaves solicited-node groups, named by their low 24
// bits, on one device.
type groupJoiner interface {
	join(group uint32) error
	leave(group uint32) error
	close() error
}

// Membership keeps the multicast memberships that a view needs. A proxy must
// join the groups of the addresses it answers for (RFC 4861 §7.2.8). It is not
// safe for concurrent use.
type Membership struct {
	mode     rules.MembershipMode
	joiner   groupJoiner
	allMulti func(on bool) error

	view   *rules.View           // what holds
	joined map[netip.Prefix]bool // the prefixes whose groups are joined
	groups map[uint32]int        // how many prefixes need a group
	wide   int                   // how many prefixes need all-multicast
	full   bool                  // a prefix found no room for its groups
}

// MembershipStatus tells what is in force.
type MembershipStatus struct {
	// Groups is the number of groups joined.
	Groups int
	// AllMulti is true while all-multicast is on.
	AllMulti bool
	// Wide is how many prefixes have too many groups to join. Behind a switch
	// with MLD snooping solicitations for them may not arrive.
	Wide int
	// Unjoined are some of these prefixes, in order.
	Unjoined []netip.Prefix
}

// NewMembership returns the membership of the responder's device.
func NewMembership(mode rules.MembershipMode, r Responder) *Membership {
	g := &groupSockets{index: r.Index(), keep: func(uint32, bool) {}}
	if k, ok := r.(groupKeeper); ok {
		g.keep = k.KeepGroup
	}
	return newMembership(mode, g, r.SetAllMulticast)
}

// groupKeeper is a [Responder] that goes on to hear what is sent to a group when the
// process has ended, and the membership with it.
type groupKeeper interface {
	// KeepGroup hears that a group was joined, or is about to be left.
	KeepGroup(group uint32, on bool)
}

func newMembership(mode rules.MembershipMode, j groupJoiner, allMulti func(bool) error) *Membership {
	return &Membership{
		mode: mode, joiner: j, allMulti: allMulti,
		joined: make(map[netip.Prefix]bool), groups: make(map[uint32]int),
	}
}

// Apply joins and leaves what the differences from the last view to this one ask
// for. It joins first, so that a group that both views need is never left (RFC
// 4861 §7.2.1). After an error the memberships may be incomplete: close and create
// them anew.
func (m *Membership) Apply(view *rules.View, deltas []rules.Delta) error {
	m.view = view
	if m.mode == rules.MembershipNone {
		return nil
	}
	var come, gone []netip.Prefix
	for _, d := range deltas {
		switch before, after := needsGroups(d.Before), needsGroups(d.After); {
		case after && !before:
			come = append(come, d.Prefix)
		case before && !after:
			gone = append(gone, d.Prefix)
		}
	}
	slices.SortFunc(come, netip.Prefix.Compare)
	var errs []error
	for _, p := range come {
		errs = append(errs, m.add(p))
	}
	for _, p := range gone {
		errs = append(errs, m.remove(p))
	}
	if m.full && len(gone) > 0 && len(m.groups) <= autoAgain {
		errs = append(errs, m.promote())
	}
	return errors.Join(errs...)
}

// needsGroups reports whether the addresses of a verdict need memberships of
// their own.
func needsGroups(v rules.Verdict) bool {
	// A rule that waits keeps its groups: when it holds again, nothing is missed
	// while switches learn of them.
	return (v.Hears() || v.Silence == rules.Standby) && !v.Part
}

// promote joins the groups of prefixes for which there was no room before.
func (m *Membership) promote() error {
	m.full = false
	var errs []error
	for p, v := range m.view.Decisions() {
		if !needsGroups(v) || m.joined[p] || !m.fits(p) {
			continue
		}
		// The groups come before all-multicast goes: nothing is missed.
		errs = append(errs, m.add(p), m.dropWide())
	}
	return errors.Join(errs...)
}

// fits reports whether the mode allows to join the groups of a prefix now.
func (m *Membership) fits(p netip.Prefix) bool {
	_, n := groupRange(p)
	if m.mode != rules.MembershipAuto {
		return m.mode == rules.MembershipJoin && n <= joinGroups
	}
	if n <= autoGroups && len(m.groups)+int(n) > autoTotal {
		m.full = true
		return false
	}
	return n <= autoGroups
}

// unjoined returns some prefixes without joined groups, in order.
func (m *Membership) unjoined() []netip.Prefix {
	var out []netip.Prefix
	for p, v := range m.view.Decisions() {
		if needsGroups(v) && !m.joined[p] {
			if out = append(out, p); len(out) == maxUnjoined {
				break
			}
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

func (m *Membership) add(p netip.Prefix) error {
	first, n := groupRange(p)
	if !m.fits(p) {
		return m.addWide()
	}
	m.joined[p] = true
	for g := first; g < first+n; g++ {
		if m.groups[g]++; m.groups[g] > 1 {
			continue
		}
		if err := m.joiner.join(g); err != nil {
			delete(m.groups, g)
			for undo := first; undo < g; undo++ {
				err = errors.Join(err, m.drop(undo))
			}
			delete(m.joined, p)
			return errors.Join(fmt.Errorf("join the groups of %s: %w", p, err), m.addWide())
		}
	}
	return nil
}

// addWide counts a prefix that no groups are joined for, and turns
// all-multicast on for the first unless the operator wants joins only.
func (m *Membership) addWide() error {
	m.wide++
	if m.wide > 1 || m.mode == rules.MembershipJoin {
		return nil
	}
	return m.allMulti(true)
}

// dropWide takes one prefix off all-multicast, and turns that off with the last.
func (m *Membership) dropWide() error {
	if m.wide--; m.wide > 0 || m.mode == rules.MembershipJoin {
		return nil
	}
	return m.allMulti(false)
}

func (m *Membership) remove(p netip.Prefix) error {
	if !m.joined[p] {
		return m.dropWide()
	}
	delete(m.joined, p)
	var errs []error
	first, n := groupRange(p)
	for g := first; g < first+n; g++ {
		errs = append(errs, m.drop(g))
	}
	return errors.Join(errs...)
}

// drop takes one prefix off a group and leaves the group with the last.
func (m *Membership) drop(g uint32) error {
	if m.groups[g]--; m.groups[g] > 0 {
		return nil
	}
	delete(m.groups, g)
	return m.joiner.leave(g)
}

// Status returns what is in force.
func (m *Membership) Status() MembershipStatus {
	s := MembershipStatus{Groups: len(m.groups), AllMulti: m.wide > 0 && m.mode != rules.MembershipJoin}
	if m.wide > 0 && (m.mode == rules.MembershipAuto || m.mode == rules.MembershipJoin) {
		s.Wide, s.Unjoined = m.wide, m.unjoined()
	}
	return s
}

// Close leaves all groups and ends all-multicast.
func (m *Membership) Close() error {
	err := m.joiner.close()
	if m.wide > 0 && m.mode != rules.MembershipJoin {
		err = errors.Join(err, m.allMulti(false))
	}
	return err
}

// groupRange returns the solicited-node groups of a prefix's addresses: the
// first one's low 24 bits and how many follow from there.
func groupRange(p netip.Prefix) (first, n uint32) {
	if p.Bits() <= 104 {
		return 0, allGroups
	}
	return groupOf(p.Addr()), 1 << (128 - p.Bits())
}
