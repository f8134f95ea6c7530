// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// asked is the time between the solicitations of a measurement.
const asked = 200 * time.Microsecond

// Answered sends solicitations until one is answered, or the time is over.
func Answered(p *Port, a netip.Addr, within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); {
		if AnsweredOnce(p, a, asked) {
			return true
		}
	}
	return false
}

// AnsweredOnce sends one solicitation, and reports whether it is answered within
// a time.
func AnsweredOnce(p *Port, a netip.Addr, within time.Duration) bool {
	isAnswer := func(f []byte) bool { return [16]byte(f[62:78]) == a.As16() && f[58]&0x40 != 0 }
	p.Send(conformance.Solicitation(a).Bytes())
	got := p.Advertisements(within, isAnswer)
	return len(got) > 0 && isAnswer(got[len(got)-1])
}

// Report reports the median, the 99th percentile and the maximum of durations.
func Report(b *testing.B, what string, ds []time.Duration) {
	b.Helper()
	slices.Sort(ds)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(ds[len(ds)/2]), what+"-p50-ms")
	b.ReportMetric(ms(ds[min(len(ds)-1, len(ds)*99/100)]), what+"-p99-ms")
	b.ReportMetric(ms(ds[len(ds)-1]), what+"-max-ms")
	b.ReportMetric(0, "ns/op") // says nothing here
}
