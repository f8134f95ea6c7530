// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestStuckCalls asks an uplink that does not look at its mailbox again and again.
func TestStuckCalls(t *testing.T) {
	t.Parallel()
	u := &Uplink{box: newMailbox()}
	ended, cancel := context.WithCancel(t.Context())
	cancel() // nobody waits
	var errs [2]int
	for range 2 * maxCalls {
		switch err := u.Sync(ended); {
		case errors.Is(err, context.Canceled):
			errs[0]++
		case errors.Is(err, errStuck):
			errs[1]++
		}
	}
	if m := u.box.take(); errs != [2]int{maxCalls, maxCalls} || len(m.calls) != maxCalls {
		t.Errorf("%d calls wait, %v were taken and refused", len(m.calls), errs)
	}
	if err := u.Sync(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the next call: %v", err)
	}
}

// TestMailbox posts more than an uplink can take in: each kind of message has its
// own bound, and none costs the others.
func TestMailbox(t *testing.T) {
	t.Parallel()
	address := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0xfd, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
	}
	tests := []struct {
		name                        string
		post                        func(*Uplink)
		tables, questions, appeared int
		resync                      bool
	}{
		{"nothing", func(*Uplink) {}, 0, 0, 0, false},
		{"some tables", func(u *Uplink) {
			for range maxTables {
				u.tableChanged(rules.Change{})
			}
		}, maxTables, 0, 0, false},
		{"too many tables", func(u *Uplink) {
			u.Ask(address(0), [6]byte{})
			u.Appeared([]netip.Addr{address(0)})
			for range maxTables + 5 {
				u.tableChanged(rules.Change{})
			}
		}, 5, 1, 1, true},
		{"too many questions", func(u *Uplink) {
			u.tableChanged(rules.Change{})
			for range 2 * maxQuestions {
				u.Ask(address(0), [6]byte{})
			}
		}, 1, maxQuestions, 0, false},
		{"an address that appears again and again", func(u *Uplink) {
			for i := range 1000 {
				u.Appeared([]netip.Addr{address(0), address(i % 2)})
			}
		}, 0, 0, 2, false},
		{"too many that appear", func(u *Uplink) {
			u.tableChanged(rules.Change{})
			for i := range 2 * maxAppeared {
				u.Appeared([]netip.Addr{address(i)})
			}
		}, 1, 0, maxAppeared, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := &Uplink{box: newMailbox()}
			tt.post(u)
			m := u.box.take()
			if len(m.tables) != tt.tables || len(m.questions) != tt.questions || len(m.appeared) != tt.appeared || m.resync != tt.resync {
				t.Errorf("%d tables, %d questions, %d that appeared, resync %t", len(m.tables), len(m.questions), len(m.appeared), m.resync)
			}
			if left := u.box.take(); len(left.tables)+len(left.questions)+len(left.appeared) != 0 || left.resync {
				t.Errorf("the mailbox is not empty: %+v", left)
			}
		})
	}
}
