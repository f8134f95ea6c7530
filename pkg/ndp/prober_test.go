// SPDX-License-Identifier: Apache-2.0

package ndp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// probing drives a Prober and keeps a diary.
type probing struct {
	table ndp.Prober
	now   time.Time
	diary []string
}

func (p *probing) note(out ndp.Outcome) {
	var words []string
	for _, a := range out.Ask {
		words = append(words, fmt.Sprintf("ask %d", a.Device))
	}
	for _, e := range out.Learned {
		words = append(words, fmt.Sprintf("learn %d", e.Device))
	}
	for range out.Lost {
		words = append(words, "lose")
	}
	if n := len(out.Settled); n > 0 {
		words = append(words, fmt.Sprintf("settle %d", n))
	}
	if n := len(out.Refused); n > 0 {
		words = append(words, fmt.Sprintf("refuse %d", n))
	}
	if len(words) > 0 {
		p.diary = append(p.diary, p.now.Sub(epoch).String()+" "+strings.Join(words, ", "))
	}
}

// until lets time pass.
func (p *probing) until(at time.Duration) {
	for {
		due, ok := p.table.Next()
		if !ok || due.After(epoch.Add(at)) {
			break
		}
		p.now = due
		var out ndp.Outcome
		p.table.Due(due, &out)
		p.note(out)
	}
	p.now = epoch.Add(at)
}

func (p *probing) do(f func(*ndp.Prober, *ndp.Outcome)) {
	var out ndp.Outcome
	f(&p.table, &out)
	p.note(out)
}

func TestProber(t *testing.T) {
	t.Parallel()
	pod := netip.MustParseAddr("2001:db8::5")
	timing := rules.Timing{Timeout: 200 * time.Millisecond, TTL: 10 * time.Second, Deadtime: 2 * time.Second, Retries: 1}
	ask := func(devices ...int32) func(*probing) {
		return func(p *probing) {
			p.do(func(t *ndp.Prober, out *ndp.Outcome) {
				t.Query(ndp.Query{Target: pod}, ndp.Plan{Devices: devices, Timing: timing}, p.now, out)
			})
		}
	}
	answer := func(device int32) func(*probing) {
		return func(p *probing) {
			p.do(func(t *ndp.Prober, out *ndp.Outcome) { t.Answer(pod, device, false, p.now, out) })
		}
	}
	changed := func(prefix string) func(*probing) {
		return func(p *probing) {
			p.do(func(t *ndp.Prober, out *ndp.Outcome) {
				t.Changed([]netip.Prefix{netip.MustParsePrefix(prefix)}, false, out)
			})
		}
	}
	doubt := func(p *probing) {
		p.do(func(t *ndp.Prober, out *ndp.Outcome) { t.Doubt(pod, p.now, out) })
	}
	gone := func(device int32) func(*probing) {
		return func(p *probing) { p.do(func(t *ndp.Prober, out *ndp.Outcome) { t.DeviceGone(device, out) }) }
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
		{name: "an answer", steps: []step{{0, ask(3)}, {ms(5), answer(3)}}, end: ms(100), want: []string{"0s ask 3", "5ms learn 3, settle 1"}},
		{
			name: "several wait, and the target is asked once", steps: []step{{0, ask(3)}, {ms(1), ask(3)}, {ms(2), ask(3)}, {ms(5), answer(3)}},
			end: ms(100), want: []string{"0s ask 3", "5ms learn 3, settle 3"},
		},
		{name: "an answer on another device", steps: []step{{0, ask(3)}, {ms(5), answer(4)}}, end: ms(100), want: []string{"0s ask 3"}},
		{name: "two devices", steps: []step{{0, ask(3, 4)}, {ms(5), answer(4)}}, end: ms(100), want: []string{"0s ask 3, ask 4", "5ms learn 4, settle 1"}},
		{name: "no device", steps: []step{{0, ask()}}, end: ms(100), want: []string{"0s refuse 1"}},
		{
			name: "no answer, retries a second apart, and dead for a while", steps: []step{{0, ask(3)}, {ms(2000), ask(3)}, {ms(3500), ask(3)}},
			end: ms(3600), want: []string{"0s ask 3", "1s ask 3", "1.2s settle 1", "2s settle 1", "3.5s ask 3"},
		},
		{name: "a late answer", steps: []step{{0, ask(3)}, {ms(1500), answer(3)}}, end: ms(2000), want: []string{"0s ask 3", "1s ask 3", "1.2s settle 1", "1.5s learn 3"}},
		{
			name: "asked again in time, and answered", steps: []step{{0, ask(3)}, {0, answer(3)}, {ms(10_050), answer(3)}},
			end: ms(11_000), want: []string{"0s ask 3", "0s learn 3, settle 1", "10s ask 3"},
		},
		{
			name: "asked again, and gone", steps: []step{{0, ask(3)}, {0, answer(3)}}, end: ms(11_500),
			want: []string{"0s ask 3", "0s learn 3, settle 1", "10s ask 3", "11s ask 3", "11.2s lose"},
		},
		{name: "an answer nobody asked for", steps: []step{{0, answer(3)}}, end: ms(100)},
		{
			name: "a route ends the dead time", steps: []step{{0, ask(3)}, {ms(1300), changed("2001:db8::5/128")}, {ms(1400), ask(3)}}, end: ms(2500),
			want: []string{"0s ask 3", "1s ask 3", "1.2s settle 1", "2s ask 3"},
		},
		{
			name: "a flapping route does not make it ask more often", steps: []step{{0, ask(3)}, {ms(1), changed("::/0")}, {ms(2), ask(3)}, {ms(3), changed("::/0")}, {ms(4), ask(3)}}, end: ms(1100),
			want: []string{"0s ask 3", "1s ask 3"},
		},
		{
			name: "a wide route, too", steps: []step{{0, ask(3)}, {ms(1300), changed("2001:db8::/64")}, {ms(1400), ask(3)}}, end: ms(2500),
			want: []string{"0s ask 3", "1s ask 3", "1.2s settle 1", "2s ask 3"},
		},
		{name: "a route elsewhere does not", steps: []step{{0, ask(3)}, {ms(1300), changed("2001:db8:1::/64")}, {ms(1400), ask(3)}}, end: ms(1500), want: []string{"0s ask 3", "1s ask 3", "1.2s settle 1", "1.4s settle 1"}},
		{
			name: "the target moves to another device", steps: []step{{0, ask(3)}, {0, answer(3)}, {ms(5), ask(4)}}, end: ms(1100),
			want: []string{"0s ask 3", "0s learn 3, settle 1", "5ms lose", "1s ask 4"},
		},
		{
			name: "the kernel doubts", steps: []step{{0, ask(3)}, {0, answer(3)}, {ms(2000), doubt}}, end: ms(3500),
			want: []string{"0s ask 3", "0s learn 3, settle 1", "2s ask 3", "3s ask 3", "3.2s lose"},
		},
		{name: "the device vanishes", steps: []step{{0, ask(3)}, {ms(5), gone(3)}}, end: ms(3000), want: []string{"0s ask 3", "5ms settle 1"}},
		{name: "the device of a living target vanishes", steps: []step{{0, ask(3)}, {0, answer(3)}, {ms(5), gone(3)}}, end: ms(3000), want: []string{"0s ask 3", "0s learn 3, settle 1", "5ms lose"}},
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

// TestProberLimit asks for more than is allowed, and wants the limit to be used.
func TestProberLimit(t *testing.T) {
	t.Parallel()
	var p ndp.Prober
	b, sent := [16]byte{0: 0x20, 1: 1}, 0
	const perSecond, seconds = 5000, 20
	for i := range perSecond * seconds {
		b[13], b[14], b[15] = byte(i>>16), byte(i>>8), byte(i)
		now := epoch.Add(time.Duration(i) * time.Second / perSecond)
		var out ndp.Outcome
		p.Due(now, &out)
		p.Query(ndp.Query{Target: netip.AddrFrom16(b)}, ndp.Plan{Devices: []int32{3}}, now, &out)
		sent += len(out.Ask)
	}
	if sent < 800*seconds || sent > 1000*(seconds+1) {
		t.Errorf("%d solicitations in %d s", sent, seconds)
	}
}

// TestProberScan asks for a hundred thousand addresses of which none is there,
// for ten seconds, while one that lives is asked for again and again.
func TestProberScan(t *testing.T) {
	t.Parallel()
	p := &probing{now: epoch}
	alive := netip.MustParseAddr("2001:db8:1::5")
	asked, last := 0, make(map[netip.Addr]time.Time)
	count := func(out ndp.Outcome) {
		for _, a := range out.Ask {
			if a.Target == alive {
				p.table.Answer(alive, 3, false, p.now, &ndp.Outcome{})
				continue
			}
			if at, ok := last[a.Target]; ok && p.now.Sub(at) < time.Second {
				t.Fatalf("%s was asked %s after the last time", a.Target, p.now.Sub(at))
			}
			last[a.Target] = p.now
			asked++
		}
		for _, a := range out.Lost {
			if a == alive {
				t.Fatal("the living target was lost")
			}
		}
	}
	query := func(a netip.Addr) {
		var out ndp.Outcome
		p.table.Query(ndp.Query{Target: a}, ndp.Plan{Devices: []int32{3}, Timing: rules.Timing{TTL: time.Second, Timeout: 100 * time.Millisecond}}, p.now, &out)
		count(out)
	}
	query(alive)
	const seconds, scan = 10, 100_000
	b := [16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8}
	for i := range scan {
		b[13], b[14], b[15] = byte(i>>16), byte(i>>8), byte(i)
		p.now = epoch.Add(time.Duration(i) * seconds * time.Second / scan)
		for {
			due, ok := p.table.Next()
			if !ok || due.After(p.now) {
				break
			}
			var out ndp.Outcome
			p.table.Due(p.now, &out)
			count(out)
		}
		query(netip.AddrFrom16(b))
	}
	if limit := 1000 * (seconds + 1); asked == 0 || asked > limit {
		t.Errorf("%d solicitations, want at most %d", asked, limit)
	}
}

// TestProberFull has as many living targets as there is room for, and two more
// that answer at once and are due first. What is published must be what the
// Prober knows, or nothing would ever take it back.
func TestProberFull(t *testing.T) {
	t.Parallel()
	const most = 8192
	var p ndp.Prober
	target := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 14: byte(i >> 8), 15: byte(i)})
	}
	published := make(map[netip.Addr]bool)
	publish := func(out ndp.Outcome) {
		for _, a := range out.Lost {
			delete(published, a)
		}
		for _, e := range out.Learned {
			published[e.Prefix.Addr()] = true
		}
	}
	ask := func(i int, ttl, at time.Duration) {
		var out ndp.Outcome
		plan := ndp.Plan{Devices: []int32{3}, Timing: rules.Timing{TTL: ttl}}
		if p.Query(ndp.Query{Target: target(i)}, plan, epoch.Add(at), &out); len(out.Ask) != 1 {
			t.Fatalf("target %d was not asked", i)
		}
		publish(out)
	}
	at := time.Duration(0)
	for i := range most {
		at += 5 * time.Millisecond
		ask(i, time.Hour, at)
		var out ndp.Outcome
		p.Answer(target(i), 3, false, epoch.Add(at), &out)
		publish(out)
	}
	at += time.Second
	ask(most, time.Minute, at)
	ask(most+1, time.Minute, at)
	var out ndp.Outcome
	p.Answer(target(most), 3, false, epoch.Add(at), &out)
	p.Answer(target(most+1), 3, false, epoch.Add(at), &out)
	publish(out)
	if len(published) != most {
		t.Errorf("%d targets are published, want %d", len(published), most)
	}
	if published[target(most)] {
		t.Error("a target is published that was evicted")
	}
}
