// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
)

// seat makes an announcer on a link that took its seat at a time.
func seat(name string, taken int64, link byte) ownership.Seat {
	return ownership.Seat{Taken: taken, Announcer: ownership.Announcer{Node: name, Links: []ownership.Link{{
		Prefixes: []netip.Prefix{servicePrefix}, OnLink: []netip.Prefix{onLink(link)},
	}}}}
}

// wide returns a link that is known to be near all others, by a second prefix.
func wide(link byte) []ownership.Link {
	return []ownership.Link{{Prefixes: []netip.Prefix{servicePrefix}, OnLink: []netip.Prefix{onLink(link), onLink(9)}}}
}

// TestRedundant asks whether a node is needed beside others.
func TestRedundant(t *testing.T) {
	t.Parallel()
	others := func(n int, change func(i int, s *ownership.Seat)) (seats []ownership.Seat) {
		for i := range n {
			s := seat(fmt.Sprintf("o%d", i), 100, 0)
			change(i, &s)
			seats = append(seats, s)
		}
		return seats
	}
	same := func(int, *ownership.Seat) {}
	tests := []struct {
		name   string
		self   ownership.Seat
		others []ownership.Seat
		all    int // on all links
		want   bool
	}{
		{"nobody", seat("n", 0, 0), nil, 0, false},
		{"one too few", seat("n", 0, 0), others(31, same), 0, false},
		{"enough", seat("n", 0, 0), others(32, same), 0, true},
		{"came before them", seat("n", 99, 0), others(200, same), 0, false},
		{"came after them", seat("n", 101, 0), others(32, same), 0, true},
		{"came with them, first by name", seat("a", 100, 0), others(32, same), 0, false},
		{"came with them, last by name", seat("z", 100, 0), others(32, same), 0, true},
		{"all on another link", seat("n", 0, 1), others(127, same), 0, false},
		{"too many on other links", seat("n", 0, 1), others(200, same), 0, false},
		{"too many on other links, and one on ours", seat("n", 0, 1), others(200, func(i int, s *ownership.Seat) { *s = seat(s.Node, 100, byte(max(0, 1-i))) }), 0, false},
		{"too many on other links, and two on ours", seat("n", 0, 1), others(200, func(i int, s *ownership.Seat) { *s = seat(s.Node, 100, byte(max(0, 1-i/2))) }), 0, true},
		{"enough on all links, and one on ours", seat("n", 0, 0), others(1, same), ownership.MaxSeats, false},
		{"enough on all links, and two on ours", seat("n", 0, 0), others(2, same), ownership.MaxSeats, true},
		{"one too few on all links, and two on ours", seat("n", 0, 0), others(2, same), ownership.MaxSeats - 1, false},
		{"enough on all links, and two on ours that came later", seat("n", 99, 0), others(2, same), ownership.MaxSeats, false},
		{"too many that are not fit", seat("n", 0, 0), others(200, func(_ int, s *ownership.Seat) { s.Excluded = "label" }), 0, false},
		{"half on another link", seat("n", 0, 0), others(40, func(i int, s *ownership.Seat) { *s = seat(s.Node, 100, byte(i%2)) }), 0, false},
		{"without an uplink", seat("n", 0, 0), others(200, func(_ int, s *ownership.Seat) { s.Links = nil }), 0, false},
		{"no uplink yet", ownership.Seat{Announcer: ownership.Announcer{Node: "n"}}, others(31, same), 0, false},
		{"no uplink, and enough others", ownership.Seat{Announcer: ownership.Announcer{Node: "n"}}, others(32, same), 0, true},
		{"not fit, like all", ownership.Seat{Announcer: ownership.Announcer{Node: "n", Excluded: "label", Links: seat("", 0, 0).Links}},
			others(32, func(_ int, s *ownership.Seat) { s.Excluded = "label" }), 0, true},
		{"prefixes of the link unknown", seat("n", 0, 0), others(32, func(_ int, s *ownership.Seat) { s.Links[0].OnLink = nil }), 0, true},
		{"not fit", seat("n", 0, 0), others(40, func(i int, s *ownership.Seat) { s.Excluded = []string{"", "label"}[i%2] }), 0, false},
		{"not fit, and the only one on the link of the services", ownership.Seat{Announcer: ownership.Announcer{Node: "n", Excluded: "label", Links: wide(0)}},
			others(40, func(_ int, s *ownership.Seat) { s.Links = wide(1) }), 0, false},
		{"fit, beside enough on the link of the services that are not", ownership.Seat{Announcer: ownership.Announcer{Node: "n", Links: wide(1)}},
			others(40, func(_ int, s *ownership.Seat) { s.Excluded, s.Links = "label", wide(0) }), 0, true},
		{"with rules for something else", seat("n", 0, 0), others(40, func(_ int, s *ownership.Seat) {
			s.Links[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("2001:db8:9::/112")}
		}), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := ownership.Redundant(tt.self, tt.others, tt.all); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// TestSeats lets far too many nodes come forward at once, and wants as many to
// stay as are needed, whatever each knows first.
func TestSeats(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var seats []ownership.Seat
	for i := range 500 {
		seats = append(seats, seat(fmt.Sprintf("n%d", i), 100+random.Int64N(20), 0))
	}
	for len(seats) > 0 { // one of those who are redundant leaves, until none is
		var redundant []int
		for i, s := range seats {
			if ownership.Redundant(s, seats, 0) {
				redundant = append(redundant, i)
			}
		}
		if len(redundant) != len(seats)-ownership.MaxAnnouncers {
			t.Fatalf("%d of %d are redundant", len(redundant), len(seats))
		}
		if len(redundant) == 0 {
			break
		}
		i := redundant[random.IntN(len(redundant))]
		seats = append(seats[:i], seats[i+1:]...)
	}
}

// TestFarPeers has a node on another link, which never answers on this one. That
// it is silent means nothing, until its lease ends.
func TestFarPeers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 60)
	w.nodes[2].link = 1
	for _, n := range w.nodes {
		w.start(n)
	}
	w.run(time.Minute)
	w.wantOne("grown")
	for _, n := range w.nodes {
		for _, p := range n.election.Status(w.now).Peers {
			if p.Silent || p.Expired {
				t.Errorf("%s takes %+v for dead", n.name, p)
			}
		}
	}
	// A neighbor that dies is missed at once, and the other goes on alone.
	w.kill(w.nodes[0])
	w.run(failover)
	for a, node := range w.wantOne("without n0") {
		if node != "n1" {
			t.Fatalf("%s went to %s, whose link is another one", a, node)
		}
	}
	// Nobody else is left on the link: those on others see it by the lease.
	w.kill(w.nodes[1])
	w.run(15 * time.Second)
	for a, node := range w.wantOne("without n1") {
		if node != "n2" {
			t.Fatalf("%s went to %s", a, node)
		}
	}
}
