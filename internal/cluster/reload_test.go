// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
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

// TestReload changes the configuration, and looks at what stays in force before the
// next watcher has read anything.
func TestReload(t *testing.T) {
	t.Parallel()
	const n = 8
	tests := []struct {
		name                     string
		change                   func(*config.Config)
		watchers, services, pods int
		cause                    error // with which the first watcher ends
	}{
		{"nothing new", func(*config.Config) {}, 1, n, 1, nil},
		{"another weight", func(c *config.Config) { c.Kubernetes.Weight = 2 }, 2, n, 1, k8swatch.ErrReplaced},
		{"another snapshot", func(c *config.Config) { c.Kubernetes.Snapshot = "/elsewhere" }, 2, n, 1, k8swatch.ErrReplaced},
		{"another node", func(c *config.Config) { c.Kubernetes.Node = "n9" }, 2, 0, 0, context.Canceled},
		{"another namespace", func(c *config.Config) { c.Kubernetes.Namespace = "other" }, 2, 0, 0, context.Canceled},
		{"another ownership", func(c *config.Config) { c.Kubernetes.Ownership = rules.OwnershipAll }, 2, 0, 0, context.Canceled},
		{"no rule for services", func(c *config.Config) { c.Rules = c.Rules[1:] }, 2, 0, 1, context.Canceled},
		{"no rule for pods and prefixes", func(c *config.Config) { c.Rules = c.Rules[:1] }, 2, n, 0, k8swatch.ErrReplaced},
		{"no Kubernetes", func(c *config.Config) { c.Kubernetes = nil }, 1, 0, 0, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				b.knowLeases()
				b.services(n)
				b.renewSelf()
				b.last().handler.Pods(map[netip.Addr]k8swatch.Pod{netip.MustParseAddr("2001:db8:1:0:a::1"): {}})
				b.wantAnswered("before", n, n)
				first := b.last()
				b.configure(tt.change)
				if len(b.watchers) != tt.watchers || !errors.Is(first.cause, tt.cause) {
					t.Errorf("%d watchers, and the first one ends with %v", len(b.watchers), first.cause)
				}
				b.wantAnswered("after", n, tt.services)
				b.wantEntries("after", rules.PodAddresses, tt.pods)
				want := netip.Addr{}
				if tt.services > 0 {
					want = rules.Presence(self)
					if !b.last().announced {
						t.Error("the lease is not kept")
					}
				}
				b.wantPresence("after", want)
				first.handler.Services([]k8swatch.AddressChange{{Address: service(0), Gone: true}})
				if tt.watchers > 1 {
					b.wantAnswered("after the old watcher's last word", n, tt.services)
				}
			})
		})
	}
}

// TestInherit forgets what the next watcher does not find any more, when it has read
// everything.
func TestInherit(t *testing.T) {
	t.Parallel()
	const n = 8
	inBubble(t, func(b *bench) {
		b.renew(other, otherMAC)
		b.knowLeases()
		b.services(n)
		b.run(settleFor+time.Second, other)
		share := b.answered(n)
		if share == 0 || share == n {
			t.Fatalf("the share is %d of %d", share, n)
		}
		b.configure(func(c *config.Config) { c.Kubernetes.Settle = 2 * settleFor })
		b.wantAnswered("before anything is read", n, share)
		b.last().handler.Known(k8swatch.SourceServices, false) // from the snapshot
		b.wantAnswered("with the snapshot", n, share)
		b.knowLeases() // which the other one's is not among
		b.wantAnswered("with the leases", n, n)
		b.services(n - 1)
		b.wantEntries("with the services", rules.ServiceAddresses, n-1)
	})
}

// announcers returns the leases of nodes that were there before.
func announcers(n int) (ls []k8swatch.Lease) {
	a := ownership.Announcer{Weight: 1, Settled: true, Links: []ownership.Link{{Prefixes: []netip.Prefix{servicePrefix}, OnLink: []netip.Prefix{onLink}}}}
	for i := range n {
		a.Links[0].MAC = ownership.MAC{2, 1, 0, 0, 0, byte(i)}
		ls = append(ls, k8swatch.Lease{Node: fmt.Sprint("o", i), Holder: "h", Record: a.Record(), Made: 1})
	}
	return ls
}

// TestWanted asks whether this node is to announce.
func TestWanted(t *testing.T) {
	t.Parallel()
	requested := announcers(32)
	requested[5].Record = ownership.Announcer{Requests: []string{self}}.Record()
	unreadable := announcers(32)
	unreadable[5].Record = "{"
	tests := []struct {
		name   string
		others []k8swatch.Lease
		want   bool
	}{
		{"nobody", nil, true},
		{"a few", announcers(31), true},
		{"enough", announcers(32), false},
		{"enough, and one asks for us", requested, true},
		{"a record that cannot be read is no announcer of our link", unreadable, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				h := b.last().handler
				if got := h.Wanted(tt.others, 0); got != tt.want {
					t.Errorf("wanted: %t", got)
				}
				s, e := b.Status(), b.Explain(service(0), rules.Services)
				if s.Standby == tt.want || (e != nil && e.Standby) == tt.want {
					t.Errorf("status %+v, explained as %+v", s, e)
				}
				// Others take over what would be ours.
				if got := b.Heard(uplink, ndp.Sighting{Address: service(0), MAC: otherMAC, Advertisement: true, Override: true}); got == tt.want && !tt.want {
					t.Error("a sign of a service address is left to the uplink")
				}
				h.Joining()
				if b.Status().Standby {
					t.Error("it stands by when it has a seat")
				}
			})
		})
	}
}

// TestStandBy makes this node redundant: it leaves its addresses to others.
func TestStandBy(t *testing.T) {
	t.Parallel()
	const n = 200
	inBubble(t, func(b *bench) {
		b.knowLeases()
		b.services(n)
		first := b.last()
		before := announcers(33)
		for i := range 20 {
			b.renewSelf()
			for _, l := range before {
				l.Renewed = int64(i + 1)
				first.handler.Lease(l, false)
			}
			b.wait(time.Second)
			if i == 10 && len(b.watchers) > 1 {
				t.Fatal("it stands by at once")
			}
		}
		if len(b.watchers) != 2 || !b.last().config.Standby || !b.last().began || !errors.Is(first.cause, context.Canceled) {
			t.Fatalf("%d watchers, the last is %+v, the first ended with %v", len(b.watchers), b.last(), first.cause)
		}
		b.wantEntries("after", rules.ServiceAddresses, 0)
		b.wantPresence("after", netip.Addr{})
		if s := b.Status(); !s.Standby || s.Announcers != 33 || b.Waits() != nil {
			t.Errorf("status %+v, waits for %v", s, b.Waits())
		}
	})
}

// TestStandByHandOver looks at the addresses of a node that is about to stand by: they
// are answered until others have had the time to take them over, and not announced.
func TestStandByHandOver(t *testing.T) {
	t.Parallel()
	const n = 200
	tests := []struct {
		name string
		ends bool // the daemon, meanwhile
	}{{"the daemon goes on", false}, {"the daemon ends", true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error)
				go func() { done <- b.Manager.Run(ctx) }()
				b.configure(func(*config.Config) {})
				b.knowLeases()
				b.services(n)
				h := b.last().handler
				for i := 1; len(b.watchers) == 1; i++ {
					if i > 30 {
						t.Fatal("it does not stand by")
					}
					b.wait(time.Second)
					b.renewSelf()
					for _, l := range announcers(33) {
						l.Renewed = int64(i)
						h.Lease(l, false)
					}
					b.wait(0)
				}
				share := b.answered(n)
				if leaving := len(b.leaving(n)); share == 0 || leaving != share {
					t.Errorf("%d are answered, %d of them are leaving", share, leaving)
				}
				if tt.ends {
					cancel()
				}
				b.wait(ownership.HandOver - time.Millisecond)
				b.wantAnswered("before others have had the time", n, share)
				b.wait(time.Millisecond)
				b.wantAnswered("after", n, 0)
				cancel()
				if err := <-done; err != nil {
					t.Errorf("Run ends with %v", err)
				}
			})
		})
	}
}

// TestWaits asks what a start waits for.
func TestWaits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(b *bench)
		want string
	}{
		{"services", func(*bench) {}, "[services]"},
		{"of which the watcher waits for more", func(b *bench) { b.last().waits = []string{"pods"} }, "[pods services]"},
		{"leases", func(b *bench) { b.services(1) }, "[leases]"},
		{"our lease", func(b *bench) { b.services(1); b.knowLeases() }, "[own lease]"},
		{"nothing", func(b *bench) { b.services(1); b.knowLeases(); b.renewSelf() }, "[]"},
		{"nothing, whatever comes later", func(b *bench) {
			b.services(1)
			b.knowLeases()
			b.renewSelf()
			_ = b.Ready()
			b.last().waits = []string{"pods"}
		}, "[]"},
		{"services that may not be read", func(b *bench) { b.last().handler.Forbidden(k8swatch.SourceServices, true) }, "[]"},
		{"a lease that is forbidden for now", func(b *bench) { b.services(1); b.knowLeases(); b.last().handler.Renewed(forbidden()) }, "[own lease]"},
		{"a lease that may not be written", func(b *bench) {
			b.services(1)
			b.knowLeases()
			b.last().handler.Renewed(forbidden())
			b.last().handler.Forbidden(k8swatch.SourceOwnLease, true)
		}, "[]"},
		{"no cluster", func(b *bench) { b.configure(func(c *config.Config) { c.Kubernetes = nil }) }, "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				tt.do(b)
				if got := fmt.Sprint(b.Waits()); got != tt.want || (b.Ready() == nil) != (tt.want == "[]") {
					t.Errorf("waits for %s, ready: %v", got, b.Ready())
				}
			})
		})
	}
}
