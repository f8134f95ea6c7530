// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestSettle settles a query by a view that the listener does not have yet, as when
// a target has just answered and the table is on its way to the uplink.
func TestSettle(t *testing.T) {
	t.Parallel()
	net := harness.NewNetwork(t)
	link, err := net.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	view := func(method rules.Method) *rules.View {
		table, err := rules.Compile([]rules.Rule{{Prefix: conformance.PodPrefix, Method: method, Devices: devices(method)}})
		harness.Must(t, err)
		return table.View(harness.Uplink)
	}
	queries, counters := make(chan ndp.Query, 1), new(ndp.Counters)
	var l *ndp.Listener
	harness.Must(t, net.Node.Do(func() (err error) {
		l, err = ndp.Listen(ndp.ListenConfig{
			Interface: ndp.NewInterface(conformance.Link(link.Attrs().Index), rules.Uplink{Interface: harness.Uplink}),
			View:      view(rules.Probe), Counters: counters,
			Ask: func(q ndp.Query) bool { queries <- q; return true },
		})
		return err
	}))
	defer l.Close()
	harness.Must(t, l.SetAllMulticast(true))
	p := harness.OpenPort(t, net.Router, harness.RouterPort)
	p.Send(conformance.Solicitation(conformance.Pod).Bytes())
	var q ndp.Query
	select {
	case q = <-queries:
	case <-time.After(answerTime):
		t.Fatal("no query")
	}
	if q.Uplink != harness.Uplink || q.Target != conformance.Pod {
		t.Errorf("the query is for %s on %q", q.Target, q.Uplink)
	}
	q.Settle(view(rules.Static))
	pod := conformance.Pod.As16()
	if got := p.Advertisements(answerTime, func(f []byte) bool { return [16]byte(f[62:78]) == pod }); len(got) == 0 {
		t.Error("the query was not answered")
	}
	if n := counters.Probes[ndp.ProbeAnswered].Load(); n != 1 {
		t.Errorf("%d probes were answered", n)
	}
}

// devices are those that a probe rule asks on.
func devices(m rules.Method) []string {
	if m == rules.Probe {
		return []string{"pods"}
	}
	return nil
}
