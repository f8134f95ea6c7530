// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// BenchmarkMemory reports what a daemon takes that has nothing to answer for: memory of
// its own, what its BPF maps take in the kernel, and all that is resident, of which the
// larger part is the program's file.
func BenchmarkMemory(b *testing.B) {
	byWay(b, func(b *testing.B, way string) {
		n := network(b)
		answersNatively(b, n, way)
		d := harness.Run(b, n.Node, "--config", config(b, harness.BPFFS(b), way, rule))
		for b.Loop() {
			time.Sleep(2 * time.Second)
		}
		pid := d.Process.Pid
		b.ReportMetric(statusMiB(b, pid, "RssAnon"), "own-MiB")
		b.ReportMetric(mapMemory(b, pid), "maps-MiB")
		b.ReportMetric(statusMiB(b, pid, "VmRSS"), "resident-MiB")
		b.ReportMetric(0, "ns/op")
	})
}
