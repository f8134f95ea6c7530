// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestDescriptorShortage is a host without a free descriptor: the Prober waits, and
// loses nobody who has answered before.
func TestDescriptorShortage(t *testing.T) {
	t.Parallel()
	shortage := fmt.Errorf("open packet socket: %w", unix.EMFILE)
	t.Run("at the start", func(t *testing.T) {
		t.Parallel()
		play(t, onDevices("pod1"), func(h *host) { h.openErr = shortage }, func(h *host) {
			h.ask(target(1))
			h.pass(time.Minute)
			if n := len(h.opens); n < 10 || n > 20 {
				t.Errorf("%d attempts in a minute", n)
			}
			if h.p.Ready() == nil || h.p.Fault() == nil {
				t.Error("ready")
			}
			if h.refused != 1 || len(h.settled) != 0 {
				t.Errorf("%d refused, %q settled", h.refused, h.settled)
			}
			h.openErr = nil
			h.pass(10 * time.Second)
			if err := h.p.Ready(); err != nil {
				t.Error(err)
			}
			h.ask(target(1))
			h.hear(target(1), pod1)
			if h.probed() != 1 {
				t.Error("nobody is found")
			}
			if n := strings.Count(h.log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings:\n%s", n, h.log.String())
			}
		})
	})
	t.Run("after the reader failed", func(t *testing.T) {
		t.Parallel()
		play(t, onDevices("pod1"), nil, func(h *host) {
			h.ask(target(1))
			h.hear(target(1), pod1)
			h.openErr = shortage
			h.socket.end <- unix.ENOBUFS
			h.pass(10 * time.Minute) // many TTLs
			if h.probed() != 1 {
				t.Error("a target that could not be asked counts as gone")
			}
			h.openErr = nil
			h.pass(time.Minute)
			if h.probed() != 0 {
				t.Error("a target that does not answer stays")
			}
		})
	})
}

// TestReaderFails has the socket's reader fail as soon as it is opened.
func TestReaderFails(t *testing.T) {
	t.Parallel()
	play(t, onDevices("pod1"), nil, func(h *host) {
		for range 600 {
			if s := h.socket; !s.closed {
				s.end <- unix.ENOBUFS
			}
			h.pass(100 * time.Millisecond)
		}
		if n := len(h.opens); n < 10 || n > 20 {
			t.Errorf("%d sockets in a minute", n)
		}
		if n := strings.Count(h.log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, h.log.String())
		}
		h.pass(10 * time.Second)
		h.ask(target(1))
		if len(h.asked) != 1 {
			t.Error("nobody is asked")
		}
	})
}

// TestDeviceVanishes forgets what was found on a device that is gone, even when it
// is not known which one changed.
func TestDeviceVanishes(t *testing.T) {
	t.Parallel()
	for name, index := range map[string]int{"its event": pod1, "an overrun": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			route := []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Probe}}
			play(t, route, func(h *host) {
				h.store.Update(rules.Kernel, []rules.EntryChange{{Entry: rules.Entry{Prefix: netip.MustParsePrefix("2001:db8::/64"), Behind: true, Neighbor: true, Device: pod1}}})
			}, func(h *host) {
				h.ask(target(1))
				h.hear(target(1), pod1)
				h.p.RulesChanged() // what was read of devices is read again
				h.p.DeviceChanged(index)
				synctest.Wait()
				if h.probed() != 1 {
					t.Error("lost with the device there")
				}
				delete(h.names, "pod1")
				h.p.DeviceChanged(index)
				synctest.Wait()
				if h.probed() != 0 {
					t.Error("a target on a device that is gone counts as alive")
				}
			})
		})
	}
}

// TestUnreadableDevice reads a device that cannot be read once a second, however
// many ask.
func TestUnreadableDevice(t *testing.T) {
	t.Parallel()
	play(t, []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Probe}}, func(h *host) { delete(h.names, "pod1") }, func(h *host) {
		for i := range 500 {
			h.ask(target(i))
			h.pass(10 * time.Millisecond)
		}
		if h.reads > 6 {
			t.Errorf("read %d times in 5 s", h.reads)
		}
		if len(h.settled) != 500 {
			t.Errorf("%d settled", len(h.settled))
		}
	})
}

// TestFaultsAreKeptApart logs the same cause for each thing that fails, and once
// for many addresses.
func TestFaultsAreKeptApart(t *testing.T) {
	t.Parallel()
	rs := onDevices("pod1")
	rs[0].Autowire = true
	play(t, rs, func(h *host) { h.nErr = unix.EPERM }, func(h *host) {
		for i := range 50 {
			h.ask(target(i))
			h.addErr = fmt.Errorf("add route to %s: %w", target(i), unix.EPERM)
			h.hear(target(i), pod1)
		}
		for _, what := range []string{"reading the neighbor table failed", "adding a host route failed"} {
			if n := strings.Count(h.log.String(), what); n != 1 {
				t.Errorf("%q is logged %d times:\n%s", what, n, h.log.String())
			}
		}
		h.pass(faultInterval)
		h.ask(target(99))
		h.hear(target(99), pod1)
		if n := strings.Count(h.log.String(), "adding a host route failed"); n != 2 {
			t.Errorf("a fault that lasts is logged %d times after an hour", n)
		}
	})
}
