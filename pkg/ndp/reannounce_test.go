// SPDX-License-Identifier: Apache-2.0

package ndp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// TestRounds pops what is due from the beginning on, and says when.
func TestRounds(t *testing.T) {
	t.Parallel()
	addresses := func(n int) []netip.Addr {
		var all []netip.Addr
		for i := range n {
			all = append(all, numbered(1, i))
		}
		return all
	}
	s := time.Second
	tests := []struct {
		name     string
		interval time.Duration
		rounds   []int // how many addresses there are at the beginning of each
		until    time.Duration
		want     []string
	}{
		{name: "off", rounds: []int{1}, until: time.Hour},
		{name: "one address", interval: 60 * s, rounds: []int{1, 1, 1}, until: 120 * s, want: []string{"0s 0", "1m0s 0", "2m0s 0"}},
		{name: "spread", interval: 60 * s, rounds: []int{3, 2}, until: 100 * s, want: []string{"0s 0", "20s 1", "40s 2", "1m0s 0", "1m30s 1"}},
		{name: "none for a while", interval: 60 * s, rounds: []int{0, 0, 1}, until: 120 * s, want: []string{"2m0s 0"}},
		{name: "more than the rate allows", interval: 10 * s, rounds: []int{501, 501}, until: 10*s + 20*time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r ndp.Rounds
			r.Start(tt.interval, epoch)
			var got []string
			begun := 0
			all := func() []netip.Addr { begun++; return addresses(tt.rounds[begun-1]) }
			for {
				due, ok := r.Next()
				if !ok || due.Sub(epoch) > tt.until {
					break
				}
				if a, ok := r.Pop(due, all); ok {
					b := a.As16()
					got = append(got, fmt.Sprintf("%s %d", due.Sub(epoch), int(b[14])<<8|int(b[15])))
				}
			}
			if tt.want == nil && tt.rounds[0] > 500 { // each a 50th of a second after the other
				if len(got) != 502 || got[500] != "10s 500" || got[501] != "10.02s 0" {
					t.Errorf("%d: %q", len(got), got)
				}
				return
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestLateRound does not make up for a time in which the host slept.
func TestLateRound(t *testing.T) {
	t.Parallel()
	var r ndp.Rounds
	r.Start(time.Minute, epoch)
	all := func() []netip.Addr { return []netip.Addr{numbered(1, 0), numbered(1, 1), numbered(1, 2)} }
	late := epoch.Add(time.Hour)
	if _, ok := r.Pop(late, all); !ok {
		t.Error("nothing is due")
	}
	if _, ok := r.Pop(late, all); ok {
		t.Error("two at once")
	}
	if next, _ := r.Next(); next != late.Add(20*time.Second) {
		t.Errorf("the next one is at %s", next.Sub(epoch))
	}
	r.Stop()
	if _, ok := r.Next(); ok {
		t.Error("it was stopped")
	}
}

// TestRepeat announces once, and disturbs no series.
func TestRepeat(t *testing.T) {
	t.Parallel()
	one, two := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	tests := []struct {
		name string
		do   func(*ndp.Announcer)
		want []string
	}{
		{"once", func(a *ndp.Announcer) { a.Repeat(one, true, at(0)) }, []string{"0s 2001:db8::1 override=true first=false"}},
		{"twice before its turn", func(a *ndp.Announcer) { a.Repeat(one, true, at(0)); a.Repeat(one, true, at(0)) }, []string{"0s 2001:db8::1 override=true first=false"}},
		{"within a series", func(a *ndp.Announcer) {
			a.Announce(one, true, at(0))
			run(a, 500*time.Millisecond)
			a.Repeat(one, true, at(500*time.Millisecond))
		}, []string{"1s 2001:db8::1 override=true first=false", "2s 2001:db8::1 override=true first=false"}},
		{"withdrawn", func(a *ndp.Announcer) { a.Repeat(one, true, at(0)); a.Withdraw(one) }, nil},
		{"an address that comes anew has no rest", func(a *ndp.Announcer) {
			a.Repeat(one, true, at(0))
			a.Pop(at(0))
			a.Withdraw(one)
			a.Announce(one, false, at(time.Second))
		}, []string{"1s 2001:db8::1 override=false first=true", "2s 2001:db8::1 override=false first=false", "3s 2001:db8::1 override=false first=false"}},
		{"announced before its turn", func(a *ndp.Announcer) { a.Repeat(one, true, at(0)); a.Announce(one, true, at(0)) }, []string{
			"0s 2001:db8::1 override=true first=true", "1s 2001:db8::1 override=true first=false", "2s 2001:db8::1 override=true first=false",
		}},
		{"taken over before its turn", func(a *ndp.Announcer) { a.Repeat(one, true, at(0)); a.TakeOver(one, true, at(0)) }, []string{
			"0s 2001:db8::1 override=true first=true", "1s 2001:db8::1 override=true first=false", "2s 2001:db8::1 override=true first=false",
		}},
		{"the device is busy", func(a *ndp.Announcer) {
			a.Repeat(one, true, at(0))
			n, _ := a.Pop(at(0))
			a.Retry(n, at(0))
		}, []string{"100ms 2001:db8::1 override=true first=false"}},
		{"behind a series that is due before", func(a *ndp.Announcer) { a.Announce(two, true, at(0)); a.Repeat(one, true, at(1)) }, []string{
			"0s 2001:db8::2 override=true first=true", "10ms 2001:db8::1 override=true first=false",
			"1s 2001:db8::2 override=true first=false", "2s 2001:db8::2 override=true first=false",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var a ndp.Announcer
			tt.do(&a)
			if got := run(&a, time.Hour); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if a.Len() != 0 {
				t.Errorf("%d are left", a.Len())
			}
		})
	}
}
