// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// maxConsumed bounds the prefixes whose unicast solicitations are consumed on one
// uplink.
const maxConsumed = consume.MaxPrefixes

// consumeUnicast keeps the kernel from unicast solicitations, and from sending
// packets back, where uplinks ask for that.
func (s *supervisor) consumeUnicast() {
	var wanted []consume.Uplink
	for _, u := range s.uplinks {
		if !u.config.ConsumeUnicast && !u.config.DropLoops || u.link.Index == 0 || u.view == nil {
			continue
		}
		at := consume.Uplink{Index: u.link.Index, MAC: u.link.MAC}
		if u.config.DropLoops {
			at.Loops = u.loops()
		}
		if !u.config.ConsumeUnicast {
			wanted = append(wanted, at)
			continue
		}
		prefixes := u.view.Hears()
		if len(prefixes) > maxConsumed {
			s.fault("consume_unicast", fmt.Errorf("%s has rules with %d prefixes, only the first %d are consumed: use wider ones", u.config.Interface, len(prefixes), maxConsumed))
			prefixes = prefixes[:maxConsumed]
		}
		at.Prefixes = prefixes
		wanted = append(wanted, at)
	}
	same := slices.EqualFunc(wanted, s.consumed, func(a, b consume.Uplink) bool {
		return a.Index == b.Index && a.MAC == b.MAC && slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.Loops, b.Loops)
	})
	if same {
		return
	}
	if err := s.setConsumed(wanted); err != nil {
		s.fault("consume_unicast", err)
		// No interface has that index: the event makes us try again.
		time.AfterFunc(consumeAgain, func() { s.notify(hostwatch.Event{Index: -1}) })
		return
	}
	s.consumed = wanted
}

// loops returns the prefixes whose addresses are nobody's when no service proxy
// has taken a packet: it must not go back to where it came from.
func (u *uplink) loops() []netip.Prefix {
	var ps []netip.Prefix
	for _, r := range u.owner.store.Load().Rules() {
		if (r.Method == rules.Services || r.Method == rules.Static) && r.Covers(u.config.Interface) {
			ps = append(ps, r.Prefix)
		}
	}
	if len(ps) > maxConsumed {
		u.owner.fault("drop_loops", fmt.Errorf("%s has services and static rules with %d prefixes, packets to the first %d only are dropped: use wider ones", u.config.Interface, len(ps), maxConsumed))
		ps = ps[:maxConsumed]
	}
	return ps
}

// consumeAgain is when a table that could not be made is tried again: another
// daemon may have it until it ends.
const consumeAgain = 5 * time.Second

// setConsumed puts the table in force, or takes it back.
func (s *supervisor) setConsumed(wanted []consume.Uplink) error {
	if len(wanted) == 0 {
		return s.stopConsuming()
	}
	if s.table == nil {
		t, err := consume.Open()
		if err != nil {
			return err
		}
		s.table = t
	}
	if err := s.table.Set(wanted); err != nil {
		return errors.Join(err, s.stopConsuming())
	}
	return nil
}

// stopConsuming leaves unicast solicitations to the kernel again.
func (s *supervisor) stopConsuming() error {
	if s.table == nil {
		return nil
	}
	err := s.table.Close()
	s.table = nil
	return err
}
