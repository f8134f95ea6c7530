// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestRequests asks who is called in for addresses with a Local policy.
func TestRequests(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddr("2001:db8:1:0:e::a"), netip.MustParseAddr("2001:db8:1:0:e::b")
	const nodes = ownership.MaxRequests + 44
	many := make([]string, nodes)
	var each []ownership.Fact
	for i := range many {
		many[i] = fmt.Sprintf("x%03d", i)
		address := servicePrefix.Addr().As16()
		address[14], address[15] = byte(i>>8), byte(i)
		each = append(each, ownership.Fact{Address: netip.AddrFrom16(address), Local: true, Nodes: many[i : i+1]})
	}
	tests := []struct {
		name    string
		facts   []ownership.Fact
		regular []string
		want    []string
		count   int
		left    int // addresses that nobody is called in for
	}{
		{"no policy", []ownership.Fact{{Address: a}}, nil, nil, 0, 0},
		{"no endpoint", []ownership.Fact{{Address: a, Local: true}}, nil, nil, 0, 0},
		{"one that announces", []ownership.Fact{{Address: a, Local: true, Nodes: []string{"n1", "n2"}}}, []string{"n2"}, nil, 0, 0},
		{"nobody that announces", []ownership.Fact{{Address: a, Local: true, Nodes: []string{"n1", "n2"}}}, []string{"n3"}, []string{"n1", "n2"}, 2, 0},
		{"not one of our rules", []ownership.Fact{{Address: netip.MustParseAddr("2001:db8:9::1"), Local: true, Nodes: []string{"n1"}}}, nil, nil, 0, 0},
		{"one whose lease is gone", []ownership.Fact{{Address: a, Local: true, Nodes: []string{"n1", "without a lease"}}}, []string{"without a lease"}, []string{"n1", "without a lease"}, 2, 0},
		{"two of many", []ownership.Fact{{Address: a, Local: true, Nodes: many}}, nil, nil, 2, 0},
		{"for each address", []ownership.Fact{{Address: a, Local: true, Nodes: []string{"n1"}}, {Address: b, Local: true, Nodes: []string{"n2"}}}, []string{"n2"}, []string{"n1"}, 1, 0},
		{"two hundred", each[:200], nil, nil, 200, 0},
		{"not without end", each, nil, nil, ownership.MaxRequests, nodes - ownership.MaxRequests},
		{"the second ones give way", append(slices.Clone(each[:ownership.MaxRequests]), ownership.Fact{Address: netip.MustParseAddr("2001:db8:1:0:e::f000"), Local: true, Nodes: []string{"x000", "y"}}), nil, nil, ownership.MaxRequests, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var first []string
			for _, self := range []string{"n7", "n8"} { // whoever asks
				now := time.Unix(1_000_000, 0)
				e := ownership.New(ownership.Announcer{Node: self}, rules.OwnershipHash, settleFor)
				e.SetSelf(seat(self, 0, 0).Announcer, now)
				for _, node := range tt.regular {
					if node != "without a lease" {
						e.Renewed(seat(node, 100, 0).Announcer, now)
					}
				}
				e.Update(tt.facts)
				r := e.Requests(func(node string) bool { return slices.Contains(tt.regular, node) })
				got := r.Nodes
				if len(got) != tt.count || len(r.Left) != tt.left || tt.want != nil && !slices.Equal(got, tt.want) || first != nil && !slices.Equal(first, got) {
					t.Errorf("%s wants %v", self, got)
				}
				first = got
			}
		})
	}
}

// TestCallers lets each of a number of announcers say whether it calls a node in: they
// agree on who is the first, and share the nodes out.
func TestCallers(t *testing.T) {
	t.Parallel()
	const announcers, called = 8, 400
	now := time.Unix(1_000_000, 0)
	elections := make([]*ownership.Election, announcers)
	for i := range elections {
		self := fmt.Sprint("n", i)
		e := ownership.New(ownership.Announcer{Node: self}, rules.OwnershipHash, settleFor)
		for j := range announcers {
			if i != j {
				e.Renewed(seat(fmt.Sprint("n", j), 100, 0).Announcer, now)
			}
		}
		joining := seat("joining", 100, 0).Announcer
		joining.Joining = true
		e.Renewed(joining, now)
		if _, ok := e.CallerRank("x"); ok {
			t.Error("a node that does not take part calls others in")
		}
		e.Begin(now)
		e.SetSelf(seat(self, 0, 0).Announcer, now)
		elections[i] = e
	}
	firsts := make([]int, announcers)
	for i := range called {
		node := fmt.Sprintf("x%03d", i)
		var ranks []int
		named := 0
		for j, e := range elections {
			rank, ok := e.CallerRank(node)
			if !ok {
				t.Fatalf("n%d does not take part", j)
			}
			if rank == 0 {
				firsts[j]++
			}
			ranks = append(ranks, rank)
			named += len(e.Calls([]string{node}))
		}
		slices.Sort(ranks)
		if !slices.Equal(ranks, []int{0, 1, 2, 3, 4, 5, 6, 7}) || named != 2 {
			t.Fatalf("the ranks for %s are %v, and %d leases name it", node, ranks, named)
		}
	}
	for i, n := range firsts {
		if n < called/announcers/2 {
			t.Errorf("n%d is the first for %d of %d", i, n, called)
		}
	}
}
