// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestStartDuringScan starts while somebody asks for 20,000 new targets a second.
// A router asks for ten that live, three times each, a second apart (RFC 4861
// §7.2.2): what the kernel has as a neighbor is found at the first try.
func TestStartDuringScan(t *testing.T) {
	t.Parallel()
	const living, scanned = 10, 20 // the latter in a millisecond
	query := func(a netip.Addr) ndp.Query {
		return ndp.Query{Target: a, Verdict: rules.Verdict{Probe: true, Device: pod1}}
	}
	play(t, onDevices("pod1"), func(h *host) {
		h.p.prime = h.p.table.Prime
		h.living = make(map[netip.Addr]bool)
		for i := range living {
			h.living[target(i)] = true
			h.neighbors = append(h.neighbors, hostwatch.Neighbor{Index: pod1, Address: target(i), State: unix.NUD_STALE})
		}
	}, func(h *host) {
		next := living
		for ms := range 3000 {
			for range scanned {
				h.p.Ask(query(target(next)))
				next++
			}
			if ms%1000 == 500 { // the scan was there first
				for i := range living {
					h.p.Ask(query(target(i)))
				}
			}
			h.pass(time.Millisecond)
			if ms == 600 {
				if n := h.probed(); n != living {
					t.Errorf("%d of %d living targets were found at the first try", n, living)
				}
			}
		}
		synctest.Wait()
		answered := 0
		for _, s := range h.settled {
			if strings.HasSuffix(s, " answered") {
				answered++
			}
		}
		if answered < living {
			t.Errorf("%d answers", answered)
		}
		t.Logf("%d targets scanned, %d asked", next-living, len(h.asked))
	})
}
