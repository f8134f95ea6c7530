// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	self      = "n1"
	other     = "n2"
	uplink    = "eth0"
	settleFor = time.Minute
)

var (
	onLink        = netip.MustParsePrefix("2001:db8:1::/64")
	servicePrefix = netip.MustParsePrefix("2001:db8:1:0:5::/112")
	podPrefix     = netip.MustParsePrefix("2001:db8:1:0:a::/112")
	selfMAC       = [6]byte{2, 0, 0, 0, 0, 1}
	otherMAC      = [6]byte{2, 0, 0, 0, 0, 2}
)

// service returns the address of a service by its number.
func service(i int) netip.Addr {
	a := servicePrefix.Addr().As16()
	a[14], a[15] = byte(i>>8), byte(i)
	return netip.AddrFrom16(a)
}

// bench is a Manager between fakes.
type bench struct {
	*testing.T
	*Manager
	uplinks  *fakeUplinks
	watchers []*fakeWatcher
	log      *lockedBuffer
	config   *config.Config
	changed  int
	renewed  int64
}

// newBench makes a Manager with one uplink and rules of each method, which follows
// a cluster, and does not run.
func newBench(t *testing.T) *bench {
	b := newManager(t)
	b.T = t
	return b
}

// newManager is newBench for benchmarks as well.
func newManager(t testing.TB) *bench {
	b := &bench{uplinks: new(fakeUplinks), log: new(lockedBuffer)}
	b.uplinks.links = []Link{{Name: uplink, MAC: selfMAC, OnLink: []netip.Prefix{onLink}}}
	store := new(rules.Store)
	b.Manager = New(Options{
		Store: store, Uplinks: b.uplinks, Log: slog.New(slog.NewTextHandler(b.log, nil)), Holder: "h1", Changed: func() { b.changed++ },
	})
	b.watch = func(_ *k8swatch.Client, c k8swatch.Config, h k8swatch.Handler) watcher {
		b.watchers = append(b.watchers, &fakeWatcher{config: c, handler: h})
		return b.last()
	}
	b.config = &config.Config{
		Rules: []rules.Rule{
			{Prefix: servicePrefix, Method: rules.Services}, {Prefix: podPrefix, Method: rules.Pods}, {Prefix: netip.MustParsePrefix("2001:db8:2::/64"), Method: rules.Node},
		},
		Kubernetes: &config.Kubernetes{Node: self, Namespace: "ns", Weight: 1, Settle: settleFor},
	}
	if err := store.SetRules(b.config.Rules); err != nil {
		t.Fatal(err)
	}
	return b
}

// last returns the latest watcher.
func (b *bench) last() *fakeWatcher { return b.watchers[len(b.watchers)-1] }

// configure takes the configuration over once more, after a change.
func (b *bench) configure(change func(*config.Config)) {
	b.Helper()
	next, k := *b.config, *b.config.Kubernetes
	next.Kubernetes = &k
	change(&next)
	b.config = &next
	client := new(k8swatch.Client)
	if next.Kubernetes == nil {
		client = nil
	}
	b.Configure(&next, client)
	b.wait(0)
}

// wait lets time go by until nothing is left to do.
func (b *bench) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// inBubble runs f with a Manager that runs, with a clock of the test's own, and then
// after when Run has ended.
func inBubble(t *testing.T, f func(b *bench), after ...func()) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Manager.Run(ctx) }()
		b.configure(func(*config.Config) {})
		f(b)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ends with %v", err)
		}
		for _, f := range after {
			f()
		}
	})
}

// services tells of n services, as the server has them.
func (b *bench) services(n int, change ...func(*k8swatch.AddressChange)) {
	var changes []k8swatch.AddressChange
	for i := range n {
		c := k8swatch.AddressChange{Address: service(i), Service: k8swatch.Service{Namespace: "default", Name: fmt.Sprint("s", i)}, Kind: k8swatch.ClusterIP}
		for _, f := range change {
			f(&c)
		}
		changes = append(changes, c)
	}
	h := b.last().handler
	h.Services(changes)
	h.Known(k8swatch.SourceServices, true)
	b.wait(0)
}

// knowLeases tells that the leases are known.
func (b *bench) knowLeases() {
	b.last().handler.Known(k8swatch.SourceLeases, true)
	b.wait(0)
}

// renewSelf renews the lease of this node, and has it seen.
func (b *bench) renewSelf() {
	b.renewed++
	h := b.last().handler
	record := h.Record()
	h.Renewed(nil)
	h.Lease(k8swatch.Lease{Node: self, Holder: "h1", Record: record, Renewed: b.renewed, Made: 100}, false)
	b.wait(0)
}

// renew renews the lease of another node, which has settled.
func (b *bench) renew(node string, mac [6]byte) {
	b.renewed++
	a := ownership.Announcer{Node: node, Weight: 1, Settled: true, Links: []ownership.Link{{
		MAC: mac, Prefixes: []netip.Prefix{servicePrefix}, OnLink: []netip.Prefix{onLink},
	}}}
	b.last().handler.Lease(k8swatch.Lease{Node: node, Holder: "h-" + node, Record: a.Record(), Renewed: b.renewed, Made: 50}, false)
	b.wait(0)
}

// run lets time go by in which this node and others renew their leases.
func (b *bench) run(d time.Duration, others ...string) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		b.renewSelf()
		for _, o := range others {
			b.renew(o, otherMAC)
			b.answerPresence(o)
		}
		b.wait(min(time.Second, time.Until(end)))
	}
}

// answerPresence lets another node answer the question whether it is alive.
func (b *bench) answerPresence(node string) {
	b.Heard(uplink, ndp.Sighting{Address: rules.Presence(node), MAC: otherMAC, Advertisement: true, Solicited: true})
}

// announce lets the other node announce an address.
func (b *bench) announce(a netip.Addr) bool {
	defer b.wait(0)
	return b.Heard(uplink, ndp.Sighting{Address: a, MAC: otherMAC, Advertisement: true, Override: true})
}

// answered returns how many of the first n services are answered here.
func (b *bench) answered(n int) (count int) {
	for i := range n {
		if e, ok := b.store.Entry(rules.ServiceAddresses, service(i)); ok && e.Behind {
			count++
		}
	}
	return count
}

// leaving returns which of the first n services are answered here until their next
// owner announces them.
func (b *bench) leaving(n int) (as []netip.Addr) {
	for i := range n {
		if e, ok := b.store.Entry(rules.ServiceAddresses, service(i)); ok && e.Leaving {
			as = append(as, service(i))
		}
	}
	return as
}

func (b *bench) wantAnswered(when string, n, want int) {
	b.Helper()
	if got := b.answered(n); got != want {
		b.Errorf("%s: %d of %d services are answered here, want %d", when, got, n, want)
	}
}

func (b *bench) wantEntries(when string, s rules.Source, want int) {
	b.Helper()
	if got := b.store.Load().Entries(s); got != want {
		b.Errorf("%s: %d entries of %s, want %d", when, got, s, want)
	}
}

func (b *bench) wantPresence(when string, want netip.Addr) {
	b.Helper()
	b.uplinks.mu.Lock()
	defer b.uplinks.mu.Unlock()
	if b.uplinks.presence != want || b.Presence() != want {
		b.Errorf("%s: presence is %s on the uplinks, and %s by the Manager, want %s", when, b.uplinks.presence, b.Presence(), want)
	}
}
