// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// loss counts what a running HTTP client and a running ping lose.
type loss struct {
	t          *testing.T
	http, ping *gap
}

// gap is the longest time without success, of which stalls of the machine are no part.
type gap struct {
	mu      sync.Mutex
	last    time.Time
	stalled time.Duration // until then
	longest time.Duration
	tries   int
	failed  int
	cut     int // of them, those that had a connection
}

func newGap() *gap { return &gap{last: time.Now(), stalled: harness.Stalled()} }

// since returns how long the last success is ago.
func (g *gap) since() time.Duration { return time.Since(g.last) - (harness.Stalled() - g.stalled) }

// try notes what becomes of one request. One that fails while the machine stands still says
// nothing.
func (g *gap) try(f func() error) {
	before := harness.Stalled()
	err := f()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && harness.Stalled() != before {
		return
	}
	g.tries++
	if err != nil {
		g.failed++
		if errors.Is(err, errCut) {
			g.cut++
		}
		return
	}
	g.longest, g.last, g.stalled = max(g.longest, g.since()), time.Now(), harness.Stalled()
}

func (g *gap) take() (longest time.Duration, tries, failed, cut int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	longest, tries, failed, cut = max(g.longest, g.since()), g.tries, g.failed, g.cut
	g.longest, g.tries, g.failed, g.cut = 0, 0, 0, 0
	return longest, tries, failed, cut
}

// watch begins to fetch pages of a service and to ping a pod, each time anew.
func (g *guide) watch(service, pod netip.Addr) *loss {
	g.t.Helper()
	l := &loss{t: g.t, http: newGap(), ping: newGap()}
	ctx, cancel := context.WithCancel(context.Background())
	pinger, err := g.n.Router.NewPinger(pod)
	harness.Must(g.t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			l.http.try(func() error { return g.get(service, 300*time.Millisecond) })
			time.Sleep(30 * time.Millisecond)
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			l.ping.try(func() error {
				_, err := pinger.Ping(ctx, 100*time.Millisecond)
				return err
			})
			time.Sleep(30 * time.Millisecond)
		}
	})
	g.t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = pinger.Close()
	})
	return l
}

// want reports what was lost since it was last called, and fails where success
// was away for longer than it may; 0 is for not one failure.
func (l *loss) want(when string, service, pod time.Duration) {
	l.t.Helper()
	for _, c := range []struct {
		name string
		gap  *gap
		most time.Duration
	}{{"service by HTTP", l.http, service}, {"pod by ping", l.ping, pod}} {
		longest, tries, failed, _ := c.gap.take()
		l.t.Logf("%s: %s: %d of %d lost, longest time without success %s", when, c.name, failed, tries, longest.Round(time.Millisecond))
		if c.most == 0 && failed > 0 || c.most > 0 && longest > c.most {
			l.t.Errorf("%s: %s: too much", when, c.name)
		}
	}
}

// wantHandedOver is want after a planned move of the service to another owner: no
// request fails, but for the one whose connection was open at that moment. What a
// connection's packets are translated to is known to the node that it began at,
// whichever daemon answers.
func (l *loss) wantHandedOver(when string) {
	l.t.Helper()
	longest, tries, failed, cut := l.http.take()
	l.t.Logf("%s: service by HTTP: %d of %d lost, %d with an open connection, longest time without success %s", when, failed, tries, cut, longest.Round(time.Millisecond))
	if failed > cut || cut > 1 {
		l.t.Errorf("%s: service by HTTP: too much", when)
	}
	if longest, tries, failed, _ := l.ping.take(); failed > 0 {
		l.t.Errorf("%s: pod by ping: %d of %d lost, longest time without success %s", when, failed, tries, longest)
	}
}
