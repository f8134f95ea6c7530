// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestSharedLines answers for service addresses only while the daemon lives, and gives
// signs of life often only while there are any.
func TestSharedLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    func(t *testing.T, r *Responder)
		within time.Duration // until the service address is silent
	}{
		"killed": {crash, aliveHold},
		"ended":  {func(t *testing.T, r *Responder) { check(t, r.Hold()) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			const service = "2001:db8:f2::1"
			store := new(rules.Store)
			var change rules.Change
			store.Follow(func(c rules.Change) { change = c })
			check(t, store.SetRules([]rules.Rule{static("2001:db8:f1::/64"), {Prefix: netip.MustParsePrefix("2001:db8:f2::/64"), Method: rules.Services}}))
			r := s.listen(store.Load().View(onDevice))
			s.next(r, r.config.Hold()/signs)
			entry := rules.Entry{Prefix: netip.MustParsePrefix(service + "/128"), Behind: true}
			store.Update(rules.ServiceAddresses, []rules.EntryChange{{Entry: entry}})
			check(t, r.SetView(change.After.View(onDevice), change.Deltas(onDevice)))
			s.next(r, aliveHold/signs)
			s.want("running", service, true)
			time.Sleep(aliveHold + aliveHold/signs)
			before := s.byProgram()
			s.want("still running", service, true)
			check(t, r.CountDrops())
			if s.byProgram() == before {
				t.Error("the packet socket answers")
			}
			c.end(t, r)
			time.Sleep(c.within)
			s.want("without a daemon", service, false)
			s.want("without a daemon", "2001:db8:f1::1", true)
			r = s.listen(store.Load().View(onDevice))
			s.want("again", service, true)
			store.Update(rules.ServiceAddresses, []rules.EntryChange{{Entry: entry, Gone: true}})
			check(t, r.SetView(change.After.View(onDevice), change.Deltas(onDevice)))
			s.next(r, r.config.Hold()/signs)
			check(t, r.Close())
		})
	}
}

// next checks when the next sign of life is due.
func (s *stage) next(r *Responder, want time.Duration) {
	s.t.Helper()
	next, err := r.fast.believe()
	check(s.t, err)
	if next != want {
		s.t.Errorf("the next sign of life is due in %s, not in %s", next, want)
	}
}

// TestTakenOverWithin has a second responder of the process take the program over: the
// first one ends nothing.
func TestTakenOverWithin(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := view(t, static("2001:db8:f1::/64"))
	first := s.listen(v)
	s.want("the first", "2001:db8:f1::1", true)
	second := s.listen(v)
	s.want("both", "2001:db8:f1::1", true)
	check(t, first.Close())
	s.want("the second", "2001:db8:f1::1", true)
	check(t, second.CountDrops())
	if n := s.byProgram(); n != 3 || second.Path().Pinned == "" {
		t.Errorf("%d answers are counted, the path is %+v", n, second.Path())
	}
	if _, err := second.fast.hook.(*tcx).link.Info(); err != nil {
		t.Error(err)
	}
	check(t, second.Hold())
	s.want("ended", "2001:db8:f1::1", true)
	third := s.listen(v)
	check(t, third.CountDrops())
	if n := s.byProgram(); n != 4 {
		t.Errorf("%d answers are counted", n)
	}
	check(t, third.Close())
}
