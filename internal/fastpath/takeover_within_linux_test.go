// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"os"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestReplacedInProcess replaces a responder whose program is not gone on with: what it has
// answered is counted once, and the pins of the next one stay.
func TestReplacedInProcess(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		was, wants rules.FastPathMode
		early      bool
	}{
		{"another way", rules.FastPathXDPGeneric, rules.FastPathTC, false},
		{"none", rules.FastPathAuto, rules.FastPathAuto, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.FastPath = tt.was
			old := s.listen(view(t, static("2001:db8:f1::/64")))
			if old.Path().Way == ndp.WaySocket {
				t.Fatalf("the path is %+v", old.Path())
			}
			s.want("before", "2001:db8:f1::1", true)
			s.config.FastPath, s.config.Early = tt.wants, tt.early
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			check(t, old.Close())
			s.want("after", "2001:db8:f1::1", true)
			check(t, errors.Join(r.Alive(t.Context()), r.CountDrops())) // the socket counts what it has sent
			if n, all := s.counters.Answered[ndp.Multicast].Load(), s.byProgram(); n != 2 || tt.early && all != 1 {
				t.Errorf("%d answers are counted, %d of them by the program", n, all)
			}
			if p := r.Path(); p.Pinned != "" {
				if left, err := os.ReadDir(p.Pinned); err != nil || len(left) == 0 {
					t.Errorf("nothing is pinned in %s: %v", p.Pinned, err)
				}
			} else if !tt.early {
				t.Errorf("the path is %+v", p)
			}
			check(t, r.Close())
		})
	}
}

// TestSettleStale settles no program but the one that was meant.
func TestSettleStale(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	route := rules.Rule{Prefix: static("2001:db8:f2::/64").Prefix, Method: rules.Route}
	r := s.listen(view(t, static("2001:db8:f2::7/128")))
	crash(t, r)
	r = s.listen(view(t, route))
	r.settle(new(running)) // a timer of the one before
	if p := r.Path(); p.Inherited != 1 {
		t.Errorf("the path is %+v", p)
	}
	r.Settle()
	if p := r.Path(); p.Inherited != 0 {
		t.Errorf("settled, the path is %+v", p)
	}
	check(t, s.node.Do(r.Close))
}
