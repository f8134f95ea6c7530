// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

// TestMatch runs the part of the filter that compares addresses in a
// virtual machine. The rest asks the kernel for what only it knows; the wire
// tests run that.
func TestMatch(t *testing.T) {
	t.Parallel()
	target := netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678")
	frame := make([]byte, offOptions)
	b := target.As16()
	copy(frame[offTarget:], b[:])
	for bits := range 129 {
		inside := netip.PrefixFrom(target, bits).Masked()
		check := func(p netip.Prefix, want bool) {
			t.Helper()
			vm, err := bpf.NewVM(append(match(offTarget, p), bpf.RetConstant{Val: 0}))
			if err != nil {
				t.Fatal(err)
			}
			n, err := vm.Run(frame)
			if err != nil {
				t.Fatal(err)
			}
			if got := n > 0; got != want {
				t.Errorf("%s accepts %s: %t, want %t", p, target, got, want)
			}
		}
		check(inside, true)
		if bits > 0 { // the last bit of the prefix differs
			o := target.As16()
			o[(bits-1)/8] ^= 0x80 >> ((bits - 1) % 8)
			check(netip.PrefixFrom(netip.AddrFrom16(o), bits).Masked(), false)
		}
	}
}

func TestSum(t *testing.T) {
	t.Parallel()
	b := make([]byte, 67)
	for i := range b {
		b[i] = byte(i * 37)
	}
	for n := range len(b) {
		var want uint32
		for i := 0; i < n; i += 2 {
			w := uint32(b[i]) << 8
			if i+1 < n {
				w |= uint32(b[i+1])
			}
			want += w
		}
		for want > 0xffff {
			want = want>>16 + want&0xffff
		}
		if got := fold(sum(0, b[:n])); uint32(got) != want {
			t.Errorf("%d octets: %#x, want %#x", n, got, want)
		}
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	var b bucket
	const second = int64(1e9)
	take := func(now int64) (n int) {
		for range 10 * multicastRate {
			if b.take(now, multicastRate) {
				n++
			}
		}
		return n
	}
	now := 1000 * second
	steps := []struct {
		after int64
		want  int
	}{
		{0, multicastRate},                // a full bucket
		{0, 0},                            // nothing more at once
		{second / 10, multicastRate / 10}, // refills steadily
		{-5 * second, 0},                  // a clock that was set back grants nothing
		{3600 * second, multicastRate},    // and never holds more than it can
	}
	for i, s := range steps {
		now += s.after
		if got := take(now); got != s.want {
			t.Errorf("step %d: %d pass, want %d", i, got, s.want)
		}
	}
}

func TestDelayQueue(t *testing.T) {
	t.Parallel()
	var q delayQueue
	const limit = 1e9
	for i := range maxDelayed {
		if q.full() {
			t.Fatalf("full after %d answers", i)
		}
		q.add(randomDelay(limit), 0, Multicast, new(Solicitation))
	}
	if !q.full() {
		t.Error("the queue has no end")
	}
	var last, sum int64
	for range maxDelayed {
		d := q.pop()
		if d.due < last || d.due > limit {
			t.Fatalf("due at %d after %d", d.due, last)
		}
		last = d.due
		sum += d.due
	}
	if _, waiting := q.next(); waiting {
		t.Error("the queue holds more than it took")
	}
	if mean := sum / maxDelayed; mean < limit*4/10 || mean > limit*6/10 {
		t.Errorf("the mean delay is %d of %d", mean, int64(limit))
	}
}

// TestDelayQueueNoAllocation keeps delayed answers off the heap.
func TestDelayQueueNoAllocation(t *testing.T) {
	var q delayQueue
	for range 100 {
		q.add(randomDelay(1e9), 0, Multicast, new(Solicitation))
	}
	var s Solicitation
	n := testing.AllocsPerRun(1000, func() {
		q.pop()
		q.add(randomDelay(1e9), 0, Multicast, &s)
	})
	if n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	var h Histogram
	for _, ns := range []int64{-5, 0, 1000, 1001, 2000, 2001, 1 << 40} {
		h.observe(ns)
	}
	count, sum, buckets := h.Snapshot()
	if count != 7 || len(buckets) != histogramBuckets {
		t.Fatalf("%d observations in %d buckets", count, len(buckets))
	}
	for bound, want := range map[float64]uint64{1e-6: 3, 2e-6: 5, 4e-6: 6} {
		if got := buckets[bound]; got != want {
			t.Errorf("up to %g: %d, want %d", bound, got, want)
		}
	}
	if got := fmt.Sprintf("%.3f", sum); got != "1099.512" {
		t.Errorf("the sum is %s", got)
	}
}

func TestReasonNames(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, r := range Reasons() {
		if s := r.String(); seen[s] || s == "" || s[0] < 'a' || s[0] > 'z' {
			t.Errorf("reason %d is called %q", r, s)
		}
		seen[r.String()] = true
	}
	for _, k := range Kinds() {
		if s := k.String(); s[0] < 'a' || s[0] > 'z' {
			t.Errorf("kind %d is called %q", k, s)
		}
	}
}

// TestAskers lets one asker use up its own answers alone.
func TestAskers(t *testing.T) {
	t.Parallel()
	const limit, now = 10, int64(1e15)
	station := func(mac byte, source, target string) Solicitation {
		return Solicitation{asker: [6]byte{2, 0, 0, 0, 0, mac}, source: netip.MustParseAddr(source), target: netip.MustParseAddr(target)}
	}
	quiet := station(1, "2001:db8::1", "2001:db8:1::1")
	tests := []struct {
		name     string
		loud     Solicitation
		hop      bool // the quiet one is a next hop
		loudHop  bool
		separate bool
	}{
		{name: "another station", loud: station(2, "2001:db8::2", "2001:db8:1::1"), separate: true},
		{name: "a forged MAC address", loud: station(1, "2001:db8::2", "2001:db8:1::1"), separate: true},
		{name: "a forged source address", loud: station(2, "2001:db8::1", "2001:db8:1::1"), separate: true},
		{name: "both forged", loud: station(1, "2001:db8::1", "2001:db8:1::2")},
		{name: "both forged, of a next hop", loud: station(1, "2001:db8::1", "2001:db8:1::2"), hop: true, loudHop: true, separate: true},
		{name: "the source address of a next hop", loud: station(2, "2001:db8::1", "2001:db8:1::1"), hop: true, loudHop: true, separate: true},
		{name: "the target that the next hop asks for", loud: station(1, "2001:db8::1", "2001:db8:1::1"), hop: true, loudHop: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			passed, separate := 0, false
			for range 3 { // two askers may share a bucket, once in four thousand seeds
				a := newAskers()
				passed = 0
				for range 1000 {
					if a.take(&tt.loud, tt.loudHop, now, limit) {
						passed++
					}
				}
				separate = separate || a.take(&quiet, tt.hop, now, limit)
			}
			if passed != limit || separate != tt.separate {
				t.Errorf("%d answers passed, want %d; the other asker got one: %t, want %t", passed, limit, separate, tt.separate)
			}
		})
	}
}

// TestAskersNoAllocation keeps the limit off the heap.
func TestAskersNoAllocation(t *testing.T) {
	a, s := newAskers(), Solicitation{source: netip.MustParseAddr("2001:db8::1"), target: netip.MustParseAddr("2001:db8::2")}
	if n := testing.AllocsPerRun(100, func() { a.take(&s, true, 0, 10) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
