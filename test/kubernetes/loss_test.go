// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
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

// gap is the longest time without success.
type gap struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
	tries   int
	failed  int
}

func (g *gap) result(ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tries++
	if !ok {
		g.failed++
		return
	}
	g.longest, g.last = max(g.longest, time.Since(g.last)), time.Now()
}

func (g *gap) take() (longest time.Duration, tries, failed int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	longest, tries, failed = max(g.longest, time.Since(g.last)), g.tries, g.failed
	g.longest, g.tries, g.failed = 0, 0, 0
	return longest, tries, failed
}

// watch begins to fetch pages of a service and to ping a pod, each time anew.
func (g *guide) watch(service, pod netip.Addr) *loss {
	g.t.Helper()
	l := &loss{t: g.t, http: &gap{last: time.Now()}, ping: &gap{last: time.Now()}}
	ctx, cancel := context.WithCancel(context.Background())
	pinger, err := g.n.Router.NewPinger(pod)
	harness.Must(g.t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			l.http.result(g.get(service, 300*time.Millisecond) == nil)
			time.Sleep(30 * time.Millisecond)
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			_, err := pinger.Ping(ctx, 100*time.Millisecond)
			l.ping.result(err == nil)
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
		longest, tries, failed := c.gap.take()
		l.t.Logf("%s: %s: %d of %d lost, longest time without success %s", when, c.name, failed, tries, longest.Round(time.Millisecond))
		if c.most == 0 && failed > 0 || c.most > 0 && longest > c.most {
			l.t.Errorf("%s: %s: too much", when, c.name)
		}
	}
}
