// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestProgramChanges changes rules, routes and guards at random, and has the program follow
// by the differences: after each change it answers as the view says.
func TestProgramChanges(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		t.Run(fmt.Sprint("run ", n), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			w := &world{Rand: rand.New(rand.NewPCG(seed, 1))}
			p := newProgram(t)
			var store rules.Store
			must(t, store.SetRules(w.rules()))
			p.set(t, Link(index), rules.Uplink{Interface: "uplink"}, store.Load().View("uplink"))
			var failed error
			store.Follow(func(c rules.Change) {
				p.view = c.After.View("uplink")
				failed = p.SetView(p.view, c.Deltas("uplink"))
			})
			for step := range 150 {
				w.change(t, &store)
				must(t, failed)
				err := p.node.Do(func() error {
					for range 20 {
						f := solicitation(w.address())
						if w.chance(2) {
							unicast(f.Target)(&f)
						}
						frame, meta := f.Received(0)
						if err := p.differs(frame, meta); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatalf("seed %d, step %d: %v", seed, step, err)
				}
			}
		})
	}
}

// change changes something that decides.
func (w *world) change(t *testing.T, s *rules.Store) {
	t.Helper()
	prefix := func() netip.Prefix {
		return netip.PrefixFrom(w.address(), pick(w, 128, 128, 128, 64, 80, 112, 100+w.IntN(29))).Masked()
	}
	switch w.IntN(12) {
	case 0:
		must(t, s.SetRules(w.rules()))
	case 1:
		guards := map[netip.Addr]rules.Silence{}
		for range w.IntN(4) {
			guards[w.address()] = rules.NextHop
		}
		s.SetGuards("uplink", guards)
	default:
		changes := make([]rules.EntryChange, 1+w.IntN(12))
		for i := range changes {
			changes[i] = rules.EntryChange{
				Entry: rules.Entry{Prefix: prefix(), Device: 7, Behind: w.chance(2)}, Gone: w.chance(3),
			}
		}
		s.UpdateRoutes(0, changes)
	}
}
