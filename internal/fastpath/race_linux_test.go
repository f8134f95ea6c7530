// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestLogBeside logs as a program's tasks do, while the settings change. Nothing but the
// race detector can fail it.
func TestLogBeside(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			r.log().Debug("a task")
		}
	}()
	u := r.iface.Facts().Uplink
	for range 10 {
		r.SetInterface(ndp.NewInterface(rules.Link{Name: onDevice, Index: r.Index()}, u))
	}
	<-done
	check(t, r.Close())
}
