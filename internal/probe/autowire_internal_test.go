// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
)

// TestAutowireTables makes host routes where packets for the targets are looked up.
func TestAutowireTables(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		rule, vrf, want uint32
	}{
		{"the main table", 0, 0, 0}, {"the table of the rule", 100, 0, 100}, {"that of the VRF", 0, 1001, 1001}, {"that of the rule in a VRF", 100, 1001, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rs := onDevices("pod1")
			rs[0].Autowire, rs[0].Table = true, tt.rule
			play(t, rs, func(h *host) { h.vrf = map[int32]uint32{pod1: tt.vrf} }, func(h *host) {
				h.ask(target(1))
				h.hear(target(1), pod1)
				if table, ok := h.tables[target(1)]; !ok || table != tt.want {
					t.Errorf("table %d, %t", table, ok)
				}
			})
		})
	}
}

func TestAutowire(t *testing.T) {
	t.Parallel()
	rs := onDevices("pod1", "pod2")
	rs[0].Autowire = true
	rs[0].Timing.TTL = time.Hour
	play(t, rs, func(h *host) {
		h.wired[target(9)] = pod2
		h.existing = []hostwatch.HostRoute{{Address: target(9), Device: pod2}}
	}, func(h *host) {
		if len(h.wired) > 0 {
			t.Errorf("the last process's routes stay: %v", h.wired)
		}
		h.ask(target(1))
		h.hear(target(1), pod1)
		if h.wired[target(1)] != pod1 {
			t.Errorf("routes are %v", h.wired)
		}
		h.hear(target(1), pod2)
		if h.wired[target(1)] != pod2 {
			t.Errorf("after the target moved: %v", h.wired)
		}
		for _, index := range []int{pod2, 0} {
			clear(h.wired) // as the kernel does when the device goes down
			h.p.DeviceChanged(index)
			synctest.Wait()
			if h.wired[target(1)] != pod2 {
				t.Errorf("after device %d changed: %v", index, h.wired)
			}
		}
		h.addErr = os.ErrExist
		h.ask(target(2))
		h.hear(target(2), pod1)
		h.wired[target(2)] = pod1 // somebody else's
		if err := h.store.SetRules(onDevices("pod1")); err != nil {
			t.Fatal(err)
		}
		h.p.RulesChanged()
		synctest.Wait()
		if _, still := h.wired[target(1)]; still || h.wired[target(2)] != pod1 {
			t.Errorf("after the rule went: %v", h.wired)
		}
		delete(h.wired, target(2))
		if s := h.log.String(); s != "" {
			t.Errorf("log: %s", s)
		}
	})
}
