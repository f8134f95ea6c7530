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

// epoch is when the tests of clocks begin.
var epoch = time.Unix(1_000_000, 0)

// run pops what is due from one moment on, up to another, and says when.
func run(a *ndp.Announcer, until time.Duration) []string {
	var out []string
	for {
		due, ok := a.Next()
		if !ok || due.Sub(epoch) > until {
			return out
		}
		n, ok := a.Pop(due)
		if ok {
			out = append(out, fmt.Sprintf("%s %s override=%t first=%t", due.Sub(epoch), n.Address, n.Override, n.First))
		}
	}
}

func TestAnnouncer(t *testing.T) {
	t.Parallel()
	one, two := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	tests := []struct {
		name  string
		do    func(*ndp.Announcer)
		until time.Duration
		want  []string
	}{
		{name: "nothing", do: func(*ndp.Announcer) {}, until: time.Hour},
		{name: "three times", do: func(a *ndp.Announcer) { a.Announce(one, true, at(0)) }, until: time.Hour, want: []string{
			"0s 2001:db8::1 override=true first=true", "1s 2001:db8::1 override=true first=false", "2s 2001:db8::1 override=true first=false",
		}},
		{name: "later", do: func(a *ndp.Announcer) { a.Announce(one, false, at(time.Second)) }, until: time.Second, want: []string{
			"1s 2001:db8::1 override=false first=true",
		}},
		{name: "two are spread", do: func(a *ndp.Announcer) { a.Announce(one, true, at(0)); a.Announce(two, true, at(0)) }, until: time.Second + 10*time.Millisecond, want: []string{
			"0s 2001:db8::1 override=true first=true", "10ms 2001:db8::2 override=true first=true",
			"1s 2001:db8::1 override=true first=false", "1.01s 2001:db8::2 override=true first=false",
		}},
		{name: "withdrawn", do: func(a *ndp.Announcer) {
			a.Announce(one, true, at(0))
			a.Pop(at(0))
			a.Withdraw(one)
		}, until: time.Hour},
		{name: "again within the rest", do: func(a *ndp.Announcer) {
			a.Announce(one, true, at(0))
			run(a, 5*time.Second)
			a.Withdraw(one)
			a.Announce(one, true, at(5*time.Second))
			a.Announce(one, true, at(6*time.Second))
		}, until: 10 * time.Second, want: []string{"10s 2001:db8::1 override=true first=true"}},
		{name: "again after the rest", do: func(a *ndp.Announcer) {
			a.Announce(one, true, at(0))
			run(a, 10*time.Second)
			a.Announce(one, true, at(11*time.Second))
		}, until: 11 * time.Second, want: []string{"11s 2001:db8::1 override=true first=true"}},
		{name: "taken over within the rest", do: func(a *ndp.Announcer) {
			a.Announce(one, true, at(0))
			run(a, 5*time.Second)
			a.TakeOver(one, true, at(5*time.Second))
		}, until: 6 * time.Second, want: []string{"5s 2001:db8::1 override=true first=true", "6s 2001:db8::1 override=true first=false"}},
		{name: "two taken over", do: func(a *ndp.Announcer) { a.TakeOver(one, true, at(0)); a.TakeOver(two, true, at(0)) }, until: time.Second + 10*time.Millisecond, want: []string{
			"0s 2001:db8::1 override=true first=true", "1ms 2001:db8::2 override=true first=true",
			"1s 2001:db8::1 override=true first=false", "1.01s 2001:db8::2 override=true first=false",
		}},
		{name: "taken over behind others", do: func(a *ndp.Announcer) {
			for i := range 1000 {
				a.Announce(numbered(1, i), true, at(0))
			}
			run(a, 0)
			a.TakeOver(one, true, at(time.Millisecond))
		}, until: 3 * time.Millisecond, want: []string{"1ms 2001:db8::1 override=true first=true"}},
		{name: "two frames each", do: func(a *ndp.Announcer) {
			a.Announce(one, true, at(0))
			a.Announce(two, true, at(0))
			a.Pop(at(0))
			a.Charge(1)
		}, until: 100 * time.Millisecond, want: []string{"20ms 2001:db8::2 override=true first=true"}},
		{name: "the device is busy", do: func(a *ndp.Announcer) {
			a.Announce(one, true, at(0))
			n, _ := a.Pop(at(0))
			a.Retry(n, at(0))
		}, until: 2 * time.Second, want: []string{"100ms 2001:db8::1 override=true first=true", "1.1s 2001:db8::1 override=true first=false"}},
		{name: "the device is busy at the last one", do: func(a *ndp.Announcer) {
			a.Announce(one, true, at(0))
			run(a, time.Second)
			n, _ := a.Pop(at(2 * time.Second))
			a.Retry(n, at(2*time.Second))
		}, until: time.Hour, want: []string{"2.1s 2001:db8::1 override=true first=false"}},
		{name: "the device is busy, and it was withdrawn", do: func(a *ndp.Announcer) {
			a.Announce(one, true, at(0))
			n, _ := a.Pop(at(0))
			a.Withdraw(one)
			a.Retry(n, at(0))
		}, until: time.Hour},
		{name: "cleared", do: func(a *ndp.Announcer) { a.Announce(one, true, at(0)); a.Clear() }, until: time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var a ndp.Announcer
			tt.do(&a)
			if got := run(&a, tt.until); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestTakeOverBound makes room for the addresses of a node that has died.
func TestTakeOverBound(t *testing.T) {
	t.Parallel()
	var a ndp.Announcer
	b := [16]byte{0: 0x20, 1: 1}
	for i := range 20_000 {
		b[14], b[15] = byte(i>>8), byte(i)
		a.TakeOver(netip.AddrFrom16(b), true, epoch)
	}
	if a.Len() != 16384 || a.Dropped != 20_000-16384 {
		t.Errorf("%d under way, %d dropped", a.Len(), a.Dropped)
	}
}

// TestAnnouncerBound keeps a scan of routes from filling the memory.
func TestAnnouncerBound(t *testing.T) {
	t.Parallel()
	var a ndp.Announcer
	b := [16]byte{0: 0x20, 1: 1}
	for i := range 10_000 {
		b[14], b[15] = byte(i>>8), byte(i)
		a.Announce(netip.AddrFrom16(b), true, epoch)
	}
	if a.Len() != 4096 || a.Dropped != 10_000-4096 {
		t.Errorf("%d under way, %d dropped", a.Len(), a.Dropped)
	}
}
