// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestSquatterLeaves has somebody hold the names of the daemon's sockets while it
// starts, and go. The daemon takes the names then: commands reach it, and a second
// daemon finds it.
func TestSquatterLeaves(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	var leave []func()
	for _, name := range []string{control.DefaultAddress, "@ndproxyd-lock"} {
		leave = append(leave, squat(t, n, name, true))
	}
	d := harness.Start(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	answers(t, n)
	for _, f := range leave {
		f()
	}
	t.Log("the status is told")
	d.WaitReady()
	t.Log("a second daemon stops")
	second := harness.Start(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	if code := second.Exit(); code != 1 || !strings.Contains(second.Log(), "another ndproxyd answers on this host") {
		t.Errorf("the second daemon ends with %d: %s", code, second.Log())
	}
}

// TestSquatterStays has somebody hold the name of the lock for good: a second daemon
// finds the first all the same.
func TestSquatterStays(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	squat(t, n, "@ndproxyd-lock", true)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	second := harness.Start(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	if code := second.Exit(); code != 1 {
		t.Errorf("the second daemon ends with %d: %s", code, second.Log())
	}
	if d.Ended() {
		t.Errorf("the first has ended: %s", d.Log())
	}
}

// TestSquatterTakesNoCalls has somebody bind the name of the lock without listening.
// The daemon starts as fast as without.
func TestSquatterTakesNoCalls(t *testing.T) {
	t.Parallel()
	least := make(map[bool]time.Duration)
	// The shortest of three, and of more where others use the machine, too.
	for try := 0; try < 3 || try < 10 && least[true] > 5*least[false]; try++ {
		for _, squatted := range []bool{false, true} {
			n := harness.NewNetwork(t)
			if squatted {
				squat(t, n, "@ndproxyd-lock", false)
			}
			begin := time.Now()
			harness.Start(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
			answers(t, n)
			if took := time.Since(begin); least[squatted] == 0 || took < least[squatted] {
				least[squatted] = took
			}
		}
	}
	t.Logf("the first answer comes after %s, and after %s with a squatter", least[false], least[true])
	if least[true] > 5*least[false] {
		t.Errorf("a name bound without listening delays the start: %s instead of %s", least[true], least[false])
	}
}
