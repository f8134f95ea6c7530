// SPDX-License-Identifier: Apache-2.0

package ndp_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestProberContested asks for a target behind the node on device 3, and on the
// uplink's link 9, where another station may have it.
func TestProberContested(t *testing.T) {
	t.Parallel()
	pod := netip.MustParseAddr("2001:db8::5")
	timing := rules.Timing{Timeout: 200 * time.Millisecond, TTL: 10 * time.Second, Deadtime: 2 * time.Second, Retries: 1}
	behind := ndp.Plan{Devices: []int32{3}, Links: []int32{9}, Timing: timing}
	host := ndp.Plan{Host: true, Links: []int32{9}, Timing: timing}
	ask := func(plan ndp.Plan) func(*probing) {
		return func(p *probing) {
			p.do(func(t *ndp.Prober, out *ndp.Outcome) { t.Query(ndp.Query{Target: pod}, plan, p.now, out) })
		}
	}
	answer := func(device int32, proxy bool) func(*probing) {
		return func(p *probing) {
			p.do(func(t *ndp.Prober, out *ndp.Outcome) { t.Answer(pod, device, proxy, p.now, out) })
		}
	}
	notAsked := func(p *probing) {
		p.do(func(t *ndp.Prober, _ *ndp.Outcome) { t.NotAsked(ndp.Solicit{Target: pod, Device: 9}) })
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	type step struct {
		at time.Duration
		do func(*probing)
	}
	tests := []struct {
		name  string
		steps []step
		end   time.Duration
		want  []string
	}{
		{name: "it lives behind us", steps: []step{{0, ask(behind)}, {ms(5), answer(3, false)}}, end: ms(900), want: []string{"0s ask 3, ask 9", "150ms learn 3, settle 1"}},
		{name: "a station of the link has it", steps: []step{{0, ask(behind)}, {ms(5), answer(9, false)}}, end: ms(900), want: []string{"0s ask 3, ask 9", "5ms settle 1"}},
		{name: "both, as on two interfaces of one link", steps: []step{{0, ask(behind)}, {ms(5), answer(3, false)}, {ms(6), answer(9, false)}}, end: ms(900), want: []string{"0s ask 3, ask 9", "6ms settle 1"}},
		{name: "both, in the other order", steps: []step{{0, ask(behind)}, {ms(5), answer(9, false)}, {ms(6), answer(3, false)}}, end: ms(900), want: []string{"0s ask 3, ask 9", "5ms settle 1"}},
		{name: "the station is slower", steps: []step{{0, ask(behind)}, {ms(5), answer(3, false)}, {ms(300), answer(9, false)}}, end: ms(900), want: []string{"0s ask 3, ask 9", "150ms learn 3, settle 1", "300ms lose"}},
		{name: "a proxy answers, too", steps: []step{{0, ask(behind)}, {ms(5), answer(3, false)}, {ms(6), answer(9, true)}}, end: ms(900), want: []string{"0s ask 3, ask 9", "150ms learn 3, settle 1"}},
		{name: "an answer to no question of ours", steps: []step{{0, ask(behind)}, {ms(5), answer(3, false)}, {ms(2000), answer(9, false)}}, end: ms(3000), want: []string{"0s ask 3, ask 9", "150ms learn 3, settle 1"}},
		{name: "it is asked for again, and has moved to the link", steps: []step{{0, ask(behind)}, {ms(5), answer(3, false)}, {ms(10_160), answer(9, false)}}, end: ms(12_000), want: []string{"0s ask 3, ask 9", "150ms learn 3, settle 1", "10.15s ask 3, ask 9", "10.16s lose"}},
		{name: "the station keeps it for a while", steps: []step{{0, ask(behind)}, {ms(5), answer(9, false)}, {ms(5000), ask(behind)}, {ms(10_100), ask(behind)}}, end: ms(10_200), want: []string{"0s ask 3, ask 9", "5ms settle 1", "5s settle 1", "10.1s ask 3, ask 9"}},
		{name: "nobody has it", steps: []step{{0, ask(behind)}}, end: ms(2000), want: []string{"0s ask 3, ask 9", "1s ask 3, ask 9", "1.2s settle 1"}},
		{name: "the host has it, and nobody else", steps: []step{{0, ask(host)}, {ms(1100), ask(host)}}, end: ms(2000), want: []string{"0s ask 9", "1s ask 9", "1.25s learn 0, settle 2"}},
		{name: "the host and a station", steps: []step{{0, ask(host)}, {ms(5), answer(9, false)}}, end: ms(2000), want: []string{"0s ask 9", "5ms settle 1"}},
		{name: "the host and a proxy", steps: []step{{0, ask(host)}, {ms(1100), answer(9, true)}}, end: ms(2000), want: []string{"0s ask 9", "1s ask 9", "1.1s settle 1"}},
		{name: "the link could not be asked", steps: []step{{0, ask(host)}, {ms(1), notAsked}}, end: ms(2000), want: []string{"0s ask 9", "1s ask 9", "1.25s settle 1"}},
		{name: "the host has it still", steps: []step{{0, ask(host)}}, end: ms(14_000), want: []string{"0s ask 9", "1s ask 9", "1.25s learn 0, settle 1", "11.25s ask 9", "12.25s ask 9"}},
		{name: "a station has it by then", steps: []step{{0, ask(host)}, {ms(11_260), answer(9, false)}}, end: ms(14_000), want: []string{"0s ask 9", "1s ask 9", "1.25s learn 0, settle 1", "11.25s ask 9", "11.26s lose"}},
		{name: "a newcomer begins to use it", steps: []step{{0, ask(host)}, {ms(5000), func(p *probing) { p.do(func(t *ndp.Prober, out *ndp.Outcome) { t.Forget(pod, out) }) }}, {ms(6000), ask(host)}}, end: ms(6100), want: []string{"0s ask 9", "1s ask 9", "1.25s learn 0, settle 1", "5s lose", "6s ask 9"}},
		{name: "it is the host's now", steps: []step{{0, ask(behind)}, {ms(5), answer(3, false)}, {ms(500), ask(host)}}, end: ms(2300), want: []string{"0s ask 3, ask 9", "150ms learn 3, settle 1", "500ms lose", "1s ask 9", "2s ask 9", "2.25s learn 0, settle 1"}},
		{name: "the link vanishes", steps: []step{{0, ask(host)}, {ms(5), func(p *probing) { p.do(func(t *ndp.Prober, out *ndp.Outcome) { t.DeviceGone(9, out) }) }}}, end: ms(3000), want: []string{"0s ask 9", "5ms settle 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &probing{now: epoch}
			for _, s := range tt.steps {
				p.until(s.at)
				s.do(p)
			}
			p.until(tt.end)
			if !slices.Equal(p.diary, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(p.diary, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestAnyIPUnderScan has a router ask for addresses that the host itself has, three
// times a second apart, while a scanner asks for 20,000 others a second. What is
// remembered stays bounded, and so do the questions on the link.
func TestAnyIPUnderScan(t *testing.T) {
	t.Parallel()
	const scan, seconds, wanted = 20_000, 20, 50
	var p ndp.Prober
	plan := ndp.Plan{Host: true, Links: []int32{9}, Timing: rules.Timing{Retries: 1}}
	published, frames, most, scanned := make(map[netip.Addr]bool), 0, 0, 0
	answered := make(map[netip.Addr]bool)
	for ms := range seconds * 1000 {
		now := epoch.Add(time.Duration(ms) * time.Millisecond)
		var out ndp.Outcome
		p.Due(now, &out)
		for ; scanned < ms*scan/1000; scanned++ {
			p.Query(ndp.Query{Target: numbered(2, scanned)}, plan, now, &out)
		}
		for i := range wanted {
			if begin := 5000 + 100*i; ms == begin || ms == begin+1000 || ms == begin+2000 {
				p.Query(ndp.Query{Target: numbered(1, i)}, plan, now, &out)
			}
		}
		frames += len(out.Ask)
		for _, a := range out.Lost {
			delete(published, a)
		}
		for _, e := range out.Learned {
			published[e.Prefix.Addr()] = true
			answered[e.Prefix.Addr()] = true
		}
		most = max(most, len(published))
	}
	got := 0
	for i := range wanted {
		if answered[numbered(1, i)] {
			got++
		}
	}
	if got < wanted*9/10 {
		t.Errorf("%d of %d addresses were answered for", got, wanted)
	}
	if most > 8192 || frames > 1000*(seconds+1) {
		t.Errorf("%d addresses were remembered, and %d questions sent", most, frames)
	}
	t.Logf("%d of %d answered for, %d remembered, %d questions in %d s", got, wanted, most, frames, seconds)
}
