// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func (h *host) probed() int { return h.store.Load().Entries(rules.Probed) }

// TestAskAndAnswer asks on every device of the rule, and settles what waited after
// the answer was published.
func TestAskAndAnswer(t *testing.T) {
	t.Parallel()
	play(t, onDevices("pod1", "pod2", "missing"), nil, func(h *host) {
		h.ask(target(1))
		want := []ndp.Solicit{{Target: target(1), Device: pod1}, {Target: target(1), Device: pod2}}
		if !slices.Equal(h.asked, want) {
			t.Errorf("asked %v, want %v", h.asked, want)
		}
		h.hear(target(1), pod2)
		if want := []string{"2001:db8::101 answered"}; !slices.Equal(h.settled, want) {
			t.Errorf("settled %q, want %q", h.settled, want)
		}
		h.ask(target(2))
		h.pass(10 * time.Second)
		if want := "2001:db8::201 unanswered"; h.settled[1] != want {
			t.Errorf("settled %q, want %q", h.settled[1], want)
		}
		if h.probed() != 1 {
			t.Errorf("%d targets in the store", h.probed())
		}
	})
}

// TestNothingBlocks has each thing that a Prober works with block: nobody who
// tells it something waits, and what was told is merged. Before this the shutdown
// could hang in a send to a task that had ended.
func TestNothingBlocks(t *testing.T) {
	t.Parallel()
	flood := func(t *testing.T, h *host) {
		t.Helper()
		begin, refused := time.Now(), 0
		for i := range 20000 {
			h.p.RoutesChanged([]netip.Prefix{netip.PrefixFrom(target(i), 128)}, i%7 == 0)
			h.p.DeviceChanged(i)
			h.p.Neighbor(hostwatch.Neighbor{Index: pod1, Address: target(i), Alive: true})
			h.p.Neighbor(hostwatch.Neighbor{Index: pod1, Address: target(i), Failed: true})
			if !h.p.Ask(ndp.Query{Target: target(i), Verdict: rules.Verdict{Probe: true, Device: pod1}}) {
				refused++
			}
			if i%100 == 0 {
				h.p.RulesChanged()
			}
			_, _, _ = h.p.Ready(), h.p.Fault(), h.p.String()
		}
		if d := time.Since(begin); d != 0 { // of the fake clock: a wait for ever ends the test
			t.Errorf("waited %s", d)
		}
		if refused < 19000 {
			t.Errorf("only %d queries were refused", refused)
		}
	}
	autowired := onDevices("pod1")
	autowired[0].Autowire = true
	for _, blocks := range []string{"ReadLink", "Open", "Neighbors", "Add", "Send"} {
		t.Run(blocks, func(t *testing.T) {
			t.Parallel()
			play(t, autowired, func(h *host) {
				if blocks == "Open" || blocks == "Neighbors" {
					h.gate, h.blocks = make(chan struct{}), blocks
				}
			}, func(h *host) {
				if h.gate == nil {
					if blocks == "Add" {
						h.ask(target(1))
					}
					h.gate, h.blocks = make(chan struct{}), blocks
					if blocks == "Add" {
						h.hear(target(1), pod1)
					} else {
						h.ask(target(1))
					}
				}
				flood(t, h)
				close(h.gate)
				synctest.Wait()
				if err := h.p.Ready(); err != nil {
					t.Error(err)
				}
			})
		})
	}
	t.Run("ended", func(t *testing.T) {
		t.Parallel()
		var ended *host
		play(t, onDevices("pod1"), nil, func(h *host) { ended = h })
		synctest.Test(t, func(t *testing.T) {
			ended.p.mail = newMailbox() // a channel belongs to a bubble
			ended.p.queries = make(chan ndp.Query, queryQueue)
			flood(t, ended)
		})
	})
}

// TestNeighborsGoFirst takes from the kernel's neighbor table what probe rules are
// about, at the start and when the first probe rule comes.
func TestNeighborsGoFirst(t *testing.T) {
	t.Parallel()
	known := []hostwatch.Neighbor{
		{Index: pod1, Address: target(1), State: unix.NUD_STALE},
		{Index: pod1, Address: target(3), State: unix.NUD_FAILED},
		{Index: pod1, Address: target(4), State: unix.NUD_INCOMPLETE},
		{Index: pod2, Address: target(2), State: unix.NUD_REACHABLE}, // not where the rule looks
		{Index: pod1, Address: netip.MustParseAddr("2001:db8:f::1"), State: unix.NUD_REACHABLE},
	}
	want := []netip.Addr{target(1)}
	t.Run("at the start", func(t *testing.T) {
		t.Parallel()
		play(t, onDevices("pod1"), func(h *host) { h.neighbors = known }, func(h *host) {
			if !slices.Equal(h.primed, want) {
				t.Errorf("primed %v", h.primed)
			}
		})
	})
	t.Run("with the first rule", func(t *testing.T) {
		t.Parallel()
		static := []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Static}}
		play(t, static, func(h *host) { h.neighbors = known }, func(h *host) {
			if len(h.primed) > 0 || len(h.opens) > 0 {
				t.Error("does something without a probe rule")
			}
			for _, rs := range [][]rules.Rule{onDevices("pod1"), onDevices("pod1", "tun0"), static} {
				if err := h.store.SetRules(rs); err != nil {
					t.Fatal(err)
				}
				h.p.RulesChanged()
				synctest.Wait()
			}
			if !slices.Equal(h.primed, want) {
				t.Errorf("primed %v", h.primed)
			}
			if !h.socket.closed {
				t.Error("the socket is open without a probe rule")
			}
		})
	})
	t.Run("after an error", func(t *testing.T) {
		t.Parallel()
		play(t, onDevices("pod1"), func(h *host) { h.neighbors, h.nErr = known, unix.EMFILE }, func(h *host) {
			if err := h.p.Ready(); err != nil {
				t.Errorf("targets can be asked without the neighbor table, but: %v", err)
			}
			h.nErr = nil
			h.pass(time.Second)
			if !slices.Equal(h.primed, want) {
				t.Errorf("primed %v", h.primed)
			}
		})
	})
}

// TestNoNeighborDiscovery never sends Ethernet frames into a tunnel.
func TestNoNeighborDiscovery(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		devices []string
		asked   []ndp.Solicit
		settled int
	}{
		{"tunnel only", []string{"tun0"}, nil, 500},
		{"tunnel and veth", []string{"tun0", "pod1"}, []ndp.Solicit{{Target: target(1), Device: pod1}}, 0},
		{"no device at all", []string{"missing"}, nil, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			play(t, onDevices(tt.devices...), nil, func(h *host) {
				for range 500 {
					h.ask(target(1))
				}
				if !slices.Equal(h.asked, tt.asked) {
					t.Errorf("asked %v, want %v", h.asked, tt.asked)
				}
				if len(h.settled) != tt.settled {
					t.Errorf("%d settled, want %d", len(h.settled), tt.settled)
				}
				if h.reads > len(tt.devices) {
					t.Errorf("devices were read %d times", h.reads)
				}
				want := 0
				if tt.devices[0] == "tun0" {
					want = 1
				}
				if n := strings.Count(h.log.String(), "asking on device tun0 failed"); n != want {
					t.Errorf("%d warnings:\n%s", n, h.log.String())
				}
			})
		})
	}
}

// TestReloadedMeanwhile has a query that waited while the rules changed: the rule
// that now has its number is for other addresses, and other devices.
func TestReloadedMeanwhile(t *testing.T) {
	t.Parallel()
	other := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.Probe, Devices: []string{"pod2"}}
	play(t, append([]rules.Rule{other}, onDevices("pod1")...), nil, func(h *host) {
		h.ask(target(1)) // by the rule with the number 0
		if len(h.asked) != 0 || len(h.settled) != 1 {
			t.Errorf("asked %v, settled %q", h.asked, h.settled)
		}
	})
}
