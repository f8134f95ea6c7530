// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestLostAgain tries a way again whose answers were lost: after a while, or as the device
// has changed, and with another way behind it or without one.
func TestLostAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		early          bool
		hook           string // meanwhile
		first, changed time.Duration
	}{
		"after a while":              {hook: "tcx", first: 5 * time.Second, changed: time.Hour},
		"another device":             {hook: "tcx", first: time.Hour, changed: time.Second},
		"no other way":               {early: true, first: 5 * time.Second, changed: time.Hour},
		"no other way, and a change": {early: true, first: time.Hour, changed: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathXDP, Early: c.early}, fastpath.Options{}.Blind().Refusing(c.first, c.changed))
			r.wantPath("xdp native", "")
			var lost ndp.Path
			harness.Eventually(t, "an answer another way", func() bool {
				answered := r.asker.Ask(conformance.Pod, harness.Quiet) != nil
				lost = r.responder.Path()
				return answered && lost.Hook == c.hook
			})
			if !strings.Contains(lost.Why, "answers do not leave the device") || lost.Again.IsZero() {
				t.Errorf("the path is %+v", lost)
			}
			if c.first == time.Hour {
				harness.Eventually(t, "a look at the device", func() bool { return fastpath.LookedAt(r.responder) })
			}
			peerXDP(t, r)                                                            // which is what was missing
			harness.Within(t, time.Minute, "answers of the first way", func() bool { // it may have been tried too early
				p, before := r.responder.Path(), r.byProgram()
				return r.asker.Ask(conformance.Pod, harness.Quiet) != nil && r.byProgram() > before &&
					p.Hook == "xdp native" && p.Why == "" && p.Again.IsZero()
			})
		})
	}
}
