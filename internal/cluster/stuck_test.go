// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestStuck lets uplinks block for ever, and a watcher that does not end: nobody
// else waits for them.
func TestStuck(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stuck := make(chan struct{})
	b.watch = func(_ *k8swatch.Client, c k8swatch.Config, h k8swatch.Handler) watcher {
		b.watchers = append(b.watchers, &fakeWatcher{config: c, handler: h, stuck: stuck})
		return b.last()
	}
	b.uplinks.stuck = stuck
	b.links = b.uplinks.links // as told before
	b.Configure(b.config, new(k8swatch.Client))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Manager.Run(ctx) }()

	first := b.last().handler
	next := *b.config
	k := *b.config.Kubernetes
	k.Weight = 2
	next.Kubernetes = &k
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"leases", func() { first.Known(k8swatch.SourceLeases, true) }},
		{"services", func() {
			first.Services([]k8swatch.AddressChange{{Address: service(0)}})
			first.Known(k8swatch.SourceServices, true) // which changes the presence
		}},
		{"Status", func() { b.Status() }},
		{"Explain", func() { b.Explain(service(0), rules.Services) }},
		{"Waits", func() { b.Waits() }},
		{"Heard", func() { b.Heard(uplink, ndp.Sighting{Address: service(0), MAC: otherMAC}) }},
		{"Rival", func() { b.Rival(uplink, ndp.Sighting{Address: service(0), Advertisement: true, Solicited: true}) }},
		{"Owns", func() { b.Owns(service(0)) }},
		{"UplinksChanged", func() { b.UplinksChanged() }},
		{"the election", func() { b.due() }},
		{"a reload", func() { b.Configure(&next, new(k8swatch.Client)) }},
		{"another reload", func() { b.Configure(&config.Config{}, nil) }},
		{"Status without a cluster", func() { b.Status() }},
	} {
		done := make(chan struct{})
		go func() { defer close(done); step.do() }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatalf("%s waits for somebody", step.name)
		}
	}
	cancel()
	close(stuck)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
