// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestPath shows the way that answers now, as a program comes and goes without any
// other change of the uplink.
func TestPath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		r := run(t, h, static("2001:db8::/64"), "eth0")
		defer r.stop()
		u := r.set.All()[0]
		if got := u.Facts().Path; got != (ndp.Path{}) {
			t.Errorf("before all: %+v", got)
		}
		want := ndp.Path{Way: ndp.WayTC, Hook: "tcx", Since: time.Now(), Lines: 3}
		h.open().path = want
		before := u.Facts()
		if before.Path != want {
			t.Errorf("with a program: %+v", before.Path)
		}
		h.open().path = ndp.Path{Since: time.Now(), Why: "it was detached"}
		if got := u.Facts().Path; got.Why != "it was detached" {
			t.Errorf("without it: %+v", got)
		}
		if before.Path != want {
			t.Errorf("facts that were read before have changed: %+v", before.Path)
		}
		h.change(func(h *host) { clear(h.links) })
		r.event()
		synctest.Wait()
		if got := u.Facts().Path; got != (ndp.Path{}) {
			t.Errorf("without a device: %+v", got)
		}
	})
}

func TestFellBack(t *testing.T) {
	t.Parallel()
	ways := map[rules.FastPathMode]ndp.Way{
		rules.FastPathTC: ndp.WayTC, rules.FastPathXDP: ndp.WayXDP, rules.FastPathXDPGeneric: ndp.WayXDPGeneric,
	}
	for m := range rules.FastPathModeNames() {
		mode := rules.FastPathMode(m)
		asked, named := ways[mode]
		for _, way := range ndp.Ways() {
			f := uplink.Facts{Config: rules.Uplink{FastPath: mode}, Path: ndp.Path{Way: way, Since: time.Unix(1, 0)}}
			if got, want := f.FellBack(), named && way != asked; got != want {
				t.Errorf("%s and %s: %t", mode, way, got)
			}
			if f.Path.Since = (time.Time{}); f.FellBack() {
				t.Errorf("%s, and nothing answers", mode)
			}
		}
	}
}

// TestRelieve tells others when another way answers, and a program that has stayed for them
// that it may go.
func TestRelieve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		r := run(t, h, static("2001:db8::/64"), "eth0")
		defer r.stop()
		answer := func(p ndp.Path) {
			before := r.changed.Load()
			socket := h.open()
			h.change(func(*host) { socket.path = p })
			socket.config.PathChanged()
			synctest.Wait()
			if r.changed.Load() == before {
				t.Errorf("nobody hears of %+v", p)
			}
		}
		answer(ndp.Path{Way: ndp.WayTC, Since: time.Now()})
		answer(ndp.Path{Way: ndp.WaySocket, Since: time.Now(), Leaving: true})
		for _, c := range []struct {
			uplink string
			leaves bool
		}{{"eth1", true}, {"eth0", false}} {
			r.set.Relieve(c.uplink)
			synctest.Wait()
			if got := r.facts("eth0").Path.Leaving; got != c.leaves {
				t.Errorf("%s is relieved, and it is leaving: %t", c.uplink, got)
			}
		}
	})
}
