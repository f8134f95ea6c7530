// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestMovesLater has a packet socket that cannot move stay where it is, and the program with
// it, however often the uplink tells the same facts, until it can.
func TestMovesLater(t *testing.T) {
	t.Parallel()
	auto, early := rules.Uplink{FastPath: rules.FastPathAuto}, rules.Uplink{FastPath: rules.FastPathAuto, Early: true}
	for name, c := range map[string]struct {
		before, after rules.Uplink
		stays, then   ndp.Way
	}{
		"to early":   {auto, early, ndp.WayTC, ndp.WaySocket},
		"from early": {early, auto, ndp.WaySocket, ndp.WayTC},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, log := newStage(t), new(Logged)
			s.options.Log = slog.New(slog.NewTextHandler(log, nil))
			var attempts atomic.Int32
			var short atomic.Bool
			s.config = c.before
			s.config.Interface = onDevice
			r := s.listenWithin(view(t, static("2001:db8:f1::/64")))
			r.mu.Lock()
			r.options.move = func(early bool) error {
				if attempts.Add(1); short.Load() {
					return errors.New("no descriptors")
				}
				return r.SetEarly(early)
			}
			r.moves = backoff{first: time.Hour, last: time.Hour}
			r.mu.Unlock()
			short.Store(true)
			s.change(r, c.after)
			_, first := s.programs()
			for range 5 {
				s.change(r, c.after)
			}
			if _, now := s.programs(); now != first {
				t.Errorf("at tc ingress is program %d, not %d any more", now, first)
			}
			if p := r.Path(); p.Way != c.stays {
				t.Errorf("the path is %+v", p)
			}
			if n := attempts.Load(); n != 1 {
				t.Errorf("%d attempts were made", n)
			}
			r.mu.Lock()
			r.moves = backoff{first: 10 * time.Millisecond, last: 10 * time.Millisecond}
			r.mu.Unlock()
			r.moveAgain()
			s.eventually("attempts by itself", func() bool { return attempts.Load() > 3 })
			if n := strings.Count(log.String(), "stays where it was"); n != 1 {
				t.Errorf("the log says it %d times", n)
			}
			short.Store(false)
			s.eventually("the move", func() bool { return r.Path().Way == c.then })
			s.want("moved", "2001:db8:f1::1", true)
			check(t, s.node.Do(r.Close))
		})
	}
}
