// SPDX-License-Identifier: Apache-2.0

package ndp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// numbered returns one of many addresses of a prefix.
func numbered(prefix byte, i int) netip.Addr {
	b := [16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 5: prefix}
	b[12], b[13], b[14], b[15] = byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
	return netip.AddrFrom16(b)
}

// TestProberUnderScan asks for living targets as a router does, three times a
// second apart, while a scanner asks for other addresses, each once.
func TestProberUnderScan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		scan   int // new addresses a second
		device []int32
		primed bool
		living int
		want   int           // living targets that the router gets an answer for
		within time.Duration // of its first solicitation
	}{
		{name: "1,000 a second", scan: 1000, device: []int32{3}, living: 20, want: 20, within: 3 * time.Second},
		{name: "5,000 a second", scan: 5000, device: []int32{3}, living: 20, want: 19, within: 3 * time.Second},
		{name: "5,000 a second on two devices", scan: 5000, device: []int32{3, 4}, living: 20, want: 19, within: 3 * time.Second},
		{name: "20,000 a second", scan: 20_000, device: []int32{3}, living: 200, want: 190, within: 3 * time.Second},
		{name: "20,000 a second, and the kernel knows them", scan: 20_000, device: []int32{3}, primed: true, living: 1000, want: 1000, within: 50 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const (
				begin   = 3 * time.Second // of the router: the scan has used everything up
				spread  = 3 * time.Second // of the first solicitations
				seconds = 9
				roundly = 200 * time.Microsecond // until a target answers
			)
			var p ndp.Prober
			first, answered := make(map[netip.Addr]time.Time), make(map[netip.Addr]bool)
			queries := make(map[int][]netip.Addr) // of the router, by millisecond
			for i := range tt.living {
				a := numbered(1, i)
				at := begin + time.Duration(i)*spread/time.Duration(tt.living)
				first[a] = epoch.Add(at)
				for try := range 3 {
					ms := int(at/time.Millisecond) + 1000*try
					queries[ms] = append(queries[ms], a)
				}
				if tt.primed {
					p.Prime(a, 3)
				}
			}
			frames, scanned := 0, 0
			plan := ndp.Plan{Devices: tt.device, Timing: rules.Timing{}}
			for ms := range seconds * 1000 {
				now := epoch.Add(time.Duration(ms) * time.Millisecond)
				var out ndp.Outcome
				p.Due(now, &out)
				for ; scanned < ms*tt.scan/1000; scanned++ {
					p.Query(ndp.Query{Target: numbered(2, scanned)}, plan, now, &out)
				}
				for _, a := range queries[ms] {
					if !answered[a] {
						p.Query(ndp.Query{Target: a}, plan, now, &out)
					}
				}
				for _, s := range out.Ask {
					frames++
					if _, living := first[s.Target]; living && s.Device == 3 {
						at := now.Add(roundly)
						p.Answer(s.Target, 3, false, at, &ndp.Outcome{})
						answered[s.Target] = answered[s.Target] || at.Sub(first[s.Target]) <= tt.within
					}
				}
			}
			got := 0
			for _, ok := range answered {
				if ok {
					got++
				}
			}
			if got < tt.want {
				t.Errorf("%d of %d living targets were answered in time, want %d", got, tt.living, tt.want)
			}
			if limit := 1000 * (seconds + 1); frames < 800*seconds || frames > limit {
				t.Errorf("%d solicitations in %d s, want at most %d and most of them", frames, seconds, limit)
			}
			t.Logf("%d of %d answered, %d solicitations", got, tt.living, frames)
		})
	}
}
