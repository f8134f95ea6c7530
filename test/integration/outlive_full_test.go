// SPDX-License-Identifier: Apache-2.0

//go:build full

package integration

import (
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestStopHold falls silent after a planned stop when no daemon has come for as long as
// one takes to start.
func TestStopHold(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	file := harness.WriteConfig(t, inKernel(harness.BPFFS(t), "", staticPods))
	d := startInKernel(t, n, file)
	d.Signal(syscall.SIGTERM)
	d.Exit()
	a := harness.NewAsker(t, n.Router, harness.RouterPort)
	a.WantAnswer(conformance.Pod)
	time.Sleep(fastpath.StopHold)
	a.WantSilence(conformance.Pod)
}
