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

func TestClaims(t *testing.T) {
	t.Parallel()
	a := netip.MustParseAddr("2001:db8::1")
	host, other := [6]byte{2, 0, 0, 0, 0, 3}, [6]byte{2, 0, 0, 0, 0, 4}
	speaks := ndp.Sighting{Address: a, MAC: host}
	announces := ndp.Sighting{Address: a, MAC: host, Advertisement: true, Override: true}
	answers := ndp.Sighting{Address: a, MAC: host, Advertisement: true, Override: true, Solicited: true}
	proxy := ndp.Sighting{Address: a, MAC: host, Advertisement: true, Solicited: true}
	stranger := speaks
	stranger.MAC = other
	tests := []struct {
		name  string
		signs []ndp.Sighting // a second apart
		then  time.Duration  // how long until
		asks  int
		began int
		stand bool
	}{
		{name: "a solicitation is asked about", signs: []ndp.Sighting{speaks}, asks: 1, began: 1},
		{name: "an announcement is", signs: []ndp.Sighting{announces}, asks: 1, began: 1},
		{name: "a proxy's answer is not", signs: []ndp.Sighting{proxy}},
		{name: "two announcements are no answer", signs: []ndp.Sighting{announces, announces}, asks: 2, began: 1},
		{name: "an answer makes it stand", signs: []ndp.Sighting{speaks, answers}, asks: 1, began: 1, stand: true},
		{name: "a proxy's answer does not", signs: []ndp.Sighting{announces, proxy}, asks: 2, began: 1},
		{name: "a stranger does not end it", signs: []ndp.Sighting{speaks, answers, stranger}, asks: 1, began: 1, stand: true},
		{name: "a stranger does not take a fresh claim over", signs: []ndp.Sighting{speaks, stranger}, asks: 2, began: 1},
		{name: "unanswered", signs: []ndp.Sighting{speaks}, then: 10 * time.Second, asks: 3, began: 1},
		{name: "answered, and then no longer", signs: []ndp.Sighting{speaks, answers}, then: 25 * time.Second, asks: 4, began: 1},
		{name: "answered, and asked again", signs: []ndp.Sighting{speaks, answers}, then: 10 * time.Second, asks: 2, began: 1, stand: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c ndp.Claims
			now, asks, began, stands := epoch, 0, 0, false
			pass := func(until time.Time) {
				for {
					due, ok := c.Next()
					if !ok || due.After(until) {
						return
					}
					ask, ended := c.Due(due)
					asks += len(ask)
					if len(ended) > 0 {
						stands = false
					}
				}
			}
			for _, s := range tt.signs {
				ask, begun, stand := c.Sight(s, now)
				if ask {
					asks++
				}
				if begun {
					began++
				}
				stands = stands || stand
				now = now.Add(500 * time.Millisecond)
				pass(now)
			}
			pass(now.Add(tt.then))
			if asks != tt.asks || began != tt.began || stands != tt.stand {
				t.Errorf("asked %d times, began %d times, stands %t, want %d, %d, %t", asks, began, stands, tt.asks, tt.began, tt.stand)
			}
			if c.Drop(a) != tt.stand {
				t.Errorf("dropped a claim that stands: %t", !tt.stand)
			}
		})
	}
}
