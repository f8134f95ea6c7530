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
	many := make([]string, 200)
	var each []ownership.Fact
	for i := range many {
		many[i] = fmt.Sprintf("x%03d", i)
		address := servicePrefix.Addr().As16()
		address[15] = byte(i)
		each = append(each, ownership.Fact{Address: netip.AddrFrom16(address), Local: true, Nodes: many[i : i+1]})
	}
	tests := []struct {
		name    string
		facts   []ownership.Fact
		regular []string
		want    []string
		count   int
	}{
		{"no policy", []ownership.Fact{{Address: a}}, nil, nil, 0},
		{"no endpoint", []ownership.Fact{{Address: a, Local: true}}, nil, nil, 0},
		{"one that announces", []ownership.Fact{{Address: a, Local: true, Nodes: []string{"n1", "n2"}}}, []string{"n2"}, nil, 0},
		{"nobody that announces", []ownership.Fact{{Address: a, Local: true, Nodes: []string{"n1", "n2"}}}, []string{"n3"}, []string{"n1", "n2"}, 2},
		{"not one of our rules", []ownership.Fact{{Address: netip.MustParseAddr("2001:db8:9::1"), Local: true, Nodes: []string{"n1"}}}, nil, nil, 0},
		{"one whose lease is gone", []ownership.Fact{{Address: a, Local: true, Nodes: []string{"n1", "without a lease"}}}, []string{"without a lease"}, []string{"n1", "without a lease"}, 2},
		{"two of many", []ownership.Fact{{Address: a, Local: true, Nodes: many}}, nil, nil, 2},
		{"for each address", []ownership.Fact{{Address: a, Local: true, Nodes: []string{"n1"}}, {Address: b, Local: true, Nodes: []string{"n2"}}}, []string{"n2"}, []string{"n1"}, 1},
		{"not without end", each, nil, nil, 64},
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
				got := e.Requests(func(node string) bool { return slices.Contains(tt.regular, node) })
				if len(got) != tt.count || tt.want != nil && !slices.Equal(got, tt.want) || first != nil && !slices.Equal(first, got) {
					t.Errorf("%s wants %v", self, got)
				}
				first = got
			}
		})
	}
}
