// SPDX-License-Identifier: Apache-2.0

package ndp_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

var (
	claimed  = netip.MustParseAddr("2001:db8::1")
	station  = [6]byte{2, 0, 0, 0, 0, 3}
	stranger = [6]byte{2, 0, 0, 0, 0, 4}
)

// The signs of a station.
func speaks(a netip.Addr, mac [6]byte) ndp.Sighting { return ndp.Sighting{Address: a, MAC: mac} }
func announces(a netip.Addr, mac [6]byte) ndp.Sighting {
	return ndp.Sighting{Address: a, MAC: mac, Advertisement: true, Override: true}
}
func answers(a netip.Addr, mac [6]byte) ndp.Sighting {
	return ndp.Sighting{Address: a, MAC: mac, Advertisement: true, Override: true, Solicited: true}
}
func proxies(a netip.Addr, mac [6]byte) ndp.Sighting {
	return ndp.Sighting{Address: a, MAC: mac, Advertisement: true, Solicited: true}
}

func detects(a netip.Addr, mac [6]byte) ndp.Sighting {
	return ndp.Sighting{Address: a, MAC: mac, Tentative: true}
}

// sign is a sighting at a time.
type sign struct {
	at time.Duration
	ndp.Sighting
}

// claiming drives Claims by events.
type claiming struct {
	ndp.Claims
	signs  []sign // still to come, in order
	answer func(at time.Duration, a netip.Addr) []sign
	asked  []time.Duration
	began  int
	stood  map[netip.Addr]time.Duration // addresses that are silenced, since when
	ended  int
	digest []ndp.ClaimDigest
}

func (c *claiming) add(signs ...sign) {
	c.signs = append(c.signs, signs...)
	slices.SortStableFunc(c.signs, func(a, b sign) int { return int(a.at - b.at) })
}

// until lets time pass.
func (c *claiming) until(end time.Duration) {
	if c.stood == nil {
		c.stood = make(map[netip.Addr]time.Duration)
	}
	for {
		due, ok := c.Next()
		at := max(due.Sub(epoch), 0)
		if len(c.signs) > 0 && (!ok || c.signs[0].at < at) {
			s := c.signs[0]
			if s.at > end {
				return
			}
			c.signs = c.signs[1:]
			begun, stands := c.Sight(s.Sighting, epoch.Add(s.at))
			if begun {
				c.began++
			}
			if stands {
				c.stood[s.Address] = s.at
			}
			continue
		}
		if !ok || at > end {
			return
		}
		if d, ok := c.Digest(epoch.Add(at)); ok {
			c.digest = append(c.digest, d)
		}
		ask, ended := c.Due(epoch.Add(at))
		for _, a := range ask {
			c.asked = append(c.asked, at)
			if c.answer != nil {
				c.add(c.answer(at, a)...)
			}
		}
		for a := range ended {
			delete(c.stood, a)
			c.ended++
		}
	}
}

// after is a station that answers every question after a time, until it leaves.
func after(latency, leaves time.Duration, mac [6]byte) func(time.Duration, netip.Addr) []sign {
	return func(at time.Duration, a netip.Addr) []sign {
		if at > leaves {
			return nil
		}
		return []sign{{at + latency, answers(a, mac)}}
	}
}

// from is a station that answers from a time on: it has the address then.
func from(begin time.Duration, mac [6]byte) func(time.Duration, netip.Addr) []sign {
	return func(at time.Duration, a netip.Addr) []sign {
		if at < begin {
			return nil
		}
		return []sign{{at + time.Millisecond, answers(a, mac)}}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	const ms, ever = time.Millisecond, time.Hour
	tests := []struct {
		name   string
		signs  []sign
		answer func(time.Duration, netip.Addr) []sign
		once   bool // it answers the first question and no other
		until  time.Duration
		asked  [2]int // at least and at most
		began  int
		stands bool
		ended  int
	}{
		{name: "a station that speaks", signs: []sign{{0, speaks(claimed, station)}}, answer: after(5*ms, ever, station), until: 2 * time.Second, asked: [2]int{2, 2}, began: 1, stands: true},
		{name: "a station that announces", signs: []sign{{0, announces(claimed, station)}}, answer: after(100*ms, ever, station), until: 2 * time.Second, asked: [2]int{2, 2}, began: 1, stands: true},
		{name: "a station that answers the kernel", signs: []sign{{0, answers(claimed, station)}, {ms, answers(claimed, station)}}, answer: after(ms, ever, station), until: 2 * time.Second, asked: [2]int{2, 2}, began: 1, stands: true},
		{name: "a forged sign of an address that a station has", signs: []sign{{0, announces(claimed, stranger)}}, answer: after(ms, ever, station), until: 2 * time.Second, asked: [2]int{2, 2}, began: 1, stands: true},
		{name: "it goes on to answer", signs: []sign{{0, speaks(claimed, station)}}, answer: after(ms, ever, station), until: 62 * time.Second, asked: [2]int{6, 10}, began: 1, stands: true},
		{name: "it leaves", signs: []sign{{0, speaks(claimed, station)}}, answer: after(ms, 5*time.Second, station), until: 30 * time.Second, asked: [2]int{5, 5}, began: 1, ended: 1},
		{name: "a stranger does not end it", signs: []sign{{0, speaks(claimed, station)}, {3000 * ms, announces(claimed, stranger)}, {4000 * ms, answers(claimed, stranger)}}, answer: after(ms, ever, station), until: 7 * time.Second, asked: [2]int{2, 2}, began: 1, stands: true},
		{name: "a question of the kernel's does not end it", signs: []sign{{0, speaks(claimed, station)}, {5000 * ms, answers(claimed, station)}}, answer: after(ms, ever, station), until: 7 * time.Second, asked: [2]int{2, 2}, began: 1, stands: true},
		{name: "nobody answers", signs: []sign{{0, speaks(claimed, station)}}, until: time.Hour, asked: [2]int{1, 1}, began: 1},
		{name: "nobody answers, and signs go on", signs: []sign{{0, speaks(claimed, station)}, {100 * ms, announces(claimed, station)}, {1500 * ms, speaks(claimed, station)}, {5000 * ms, speaks(claimed, station)}}, until: time.Hour, asked: [2]int{2, 2}, began: 1},
		{name: "an answer too late", signs: []sign{{0, speaks(claimed, station)}}, answer: after(200*ms, ever, station), until: 10 * time.Second, asked: [2]int{1, 1}, began: 1},
		{name: "a proxy's answer is no sign", signs: []sign{{0, proxies(claimed, station)}}, until: time.Hour},
		{name: "a proxy's answer does not make it stand", signs: []sign{{0, announces(claimed, station)}}, answer: func(at time.Duration, a netip.Addr) []sign { return []sign{{at + ms, proxies(a, station)}} }, until: time.Hour, asked: [2]int{1, 1}, began: 1},
		{name: "two stations have it", signs: []sign{{0, speaks(claimed, station)}}, answer: func(at time.Duration, a netip.Addr) []sign {
			return []sign{{at + ms, answers(a, station)}, {at + 2*ms, answers(a, stranger)}}
		}, until: 7 * time.Second, asked: [2]int{2, 2}, began: 1, stands: true},
		{name: "duplicate address detection", signs: []sign{{0, detects(claimed, station)}}, answer: from(time.Second, station), until: 4500 * ms, asked: [2]int{2, 2}, began: 1, stands: true},
		{name: "such a station gives up", signs: []sign{{0, detects(claimed, station)}}, until: time.Hour, asked: [2]int{1, 1}, began: 1},
		{name: "such a station after another one has failed", signs: []sign{{0, announces(claimed, stranger)}, {10 * time.Second, detects(claimed, station)}}, answer: from(11*time.Second, station), until: 15 * time.Second, asked: [2]int{3, 3}, began: 1, stands: true},
		{name: "one answer is not enough", signs: []sign{{0, speaks(claimed, station)}}, answer: after(ms, ever, station), once: true, until: time.Hour, asked: [2]int{2, 2}, began: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range 50 { // its times are random
				c := claiming{answer: tt.answer}
				if tt.once {
					c.answer = func(at time.Duration, a netip.Addr) []sign {
						c.answer = nil
						return tt.answer(at, a)
					}
				}
				c.add(tt.signs...)
				c.until(tt.until)
				_, stands := c.stood[claimed]
				if len(c.asked) < tt.asked[0] || len(c.asked) > tt.asked[1] || c.began != tt.began || stands != tt.stands || c.ended != tt.ended {
					t.Fatalf("asked at %v, began %d times, stands %t, ended %d, want %d to %d questions, %d, %t, %d", c.asked, c.began, stands, c.ended, tt.asked[0], tt.asked[1], tt.began, tt.stands, tt.ended)
				}
				if c.Drop(claimed) != tt.stands {
					t.Fatalf("dropped a claim that stands: %t", !tt.stands)
				}
			}
		})
	}
}

// TestClaimNotAsked does not end a claim for questions that never left.
func TestClaimNotAsked(t *testing.T) {
	t.Parallel()
	c := claiming{answer: after(time.Millisecond, time.Hour, station)}
	c.add(sign{0, speaks(claimed, station)})
	c.until(2 * time.Second)
	c.answer = func(at time.Duration, a netip.Addr) []sign {
		c.NotAsked(a, epoch.Add(at))
		return nil
	}
	c.until(time.Minute)
	if _, stands := c.stood[claimed]; !stands || len(c.asked) < 10 {
		t.Errorf("after %d questions that did not leave the claim stands: %t", len(c.asked), stands)
	}
}

// TestForgedClaims forges advertisements for addresses without hearing our
// questions, and wants next to none of them silenced.
func TestForgedClaims(t *testing.T) {
	t.Parallel()
	const ms, runs = time.Millisecond, 300
	spray := func(from, to, step time.Duration) (signs []sign) {
		for at := from; at < to; at += step {
			signs = append(signs, sign{at, answers(claimed, station)})
		}
		return signs
	}
	// Each MAC address answers twice, as far apart as is likely for the questions.
	var pairs []sign
	for at := time.Duration(0); at < 10*time.Second; at += 20 * ms {
		mac := [6]byte{2, 9, 0, 0, byte(at / (20 * ms) >> 8), byte(at / (20 * ms))}
		pairs = append(pairs, sign{at, answers(claimed, mac)}, sign{at + 825*ms, answers(claimed, mac)})
	}
	tests := []struct {
		name  string
		signs []sign
		begun bool // by a station that answers and leaves after 5 s
		until time.Duration
		most  int // silenced, of a hundred
	}{
		{name: "a pair", signs: []sign{{0, announces(claimed, station)}, {ms, answers(claimed, station)}}, until: 10 * time.Second},
		{name: "two answers", signs: []sign{{0, answers(claimed, station)}, {500 * ms, answers(claimed, station)}}, until: 10 * time.Second},
		{name: "the best guess at both times", signs: []sign{{0, announces(claimed, station)}, {400 * ms, answers(claimed, station)}, {1150 * ms, answers(claimed, station)}}, until: 10 * time.Second, most: 10},
		{name: "an answer every 20 ms", signs: spray(0, 10*time.Second, 20*ms), until: 10 * time.Second},
		{name: "an answer every 20 ms, each of another station", signs: pairs, until: 10 * time.Second},
		{name: "prolonged every 9 s", begun: true, signs: spray(14*time.Second, 90*time.Second, 9*time.Second), until: 60 * time.Second, most: 5},
		{name: "prolonged every second", begun: true, signs: spray(6*time.Second, 90*time.Second, time.Second), until: 60 * time.Second, most: 5},
		{name: "prolonged every 20 ms", begun: true, signs: spray(6*time.Second, 60*time.Second, 20*ms), until: 60 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			silenced := 0
			for range runs {
				var c claiming
				if tt.begun {
					c.answer = after(ms, 5*time.Second, station)
					c.add(sign{0, speaks(claimed, station)})
					if c.until(5 * time.Second); len(c.stood) != 1 {
						t.Fatal("the station was not recognized")
					}
				}
				c.add(tt.signs...)
				if c.until(tt.until); len(c.stood) > 0 {
					silenced++
				}
			}
			if silenced > tt.most*runs/100 {
				t.Errorf("%d of %d addresses were silenced, want at most %d in a hundred", silenced, runs, tt.most)
			}
			t.Logf("%d of %d silenced", silenced, runs)
		})
	}
}

// TestClaimFlood forges 2,000 signs and answers a second.
func TestClaimFlood(t *testing.T) {
	t.Parallel()
	for name, addresses := range map[string]int{"for as many addresses as there is room": 1024, "for new ones": 1 << 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const seconds, perSecond = 90, 2000
			c := claiming{answer: func(at time.Duration, a netip.Addr) []sign {
				if a != claimed {
					return nil
				}
				return []sign{{at + time.Millisecond, answers(a, station)}}
			}}
			c.add(sign{0, speaks(claimed, station)})
			c.until(3 * time.Second)
			if len(c.stood) != 1 {
				t.Fatal("the station was not recognized")
			}
			for i := range seconds * perSecond {
				at := 3*time.Second + time.Duration(i)*time.Second/perSecond
				a := numbered(3, i%addresses)
				c.add(sign{at, announces(a, stranger)}, sign{at + 100*time.Microsecond, answers(a, stranger)})
				c.until(at + time.Second/perSecond - 1)
			}
			if most := 10*(seconds+3) + 10; len(c.asked) > most {
				t.Errorf("%d questions in %d s, want at most %d", len(c.asked), seconds, most)
			}
			if _, stands := c.stood[claimed]; !stands || len(c.stood) > 20 {
				t.Errorf("%d addresses are silenced, and the station's claim stands: %t", len(c.stood), stands)
			}
			if len(c.digest) > 2 {
				t.Errorf("%d digests in %d s", len(c.digest), seconds)
			}
			n := 0
			for range c.All {
				n++
			}
			if n > 1024 {
				t.Errorf("%d claims are kept", n)
			}
			t.Logf("%d questions, %d silenced, %d digests, %d claims", len(c.asked), len(c.stood), len(c.digest), n)
		})
	}
}
