// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestFitness gives nodes reasons to own less, or more.
func TestFitness(t *testing.T) {
	t.Parallel()
	elsewhere := []netip.Prefix{netip.MustParsePrefix("2001:db8:2::/64")}
	tests := []struct {
		name        string
		change      func(a *ownership.Announcer) // of n0
		least, most int                          // of 300 addresses for n0, of three nodes
	}{
		{"like the others", func(*ownership.Announcer) {}, 70, 130},
		{"excluded", func(a *ownership.Announcer) { a.Excluded = "label" }, 0, 0},
		{"cordoned", func(a *ownership.Announcer) { a.Cordoned = true }, 0, 0},
		{"without a rule for them", func(a *ownership.Announcer) { a.Links[0].Prefixes = elsewhere }, 0, 0},
		{"not on its link", func(a *ownership.Announcer) { a.Links[0].OnLink = elsewhere }, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := grown(t, 3, 300)
			self := w.self(w.nodes[0])
			tt.change(&self)
			w.nodes[0].election.SetSelf(self, w.now)
			w.run(settleFor)
			owned := 0
			for _, o := range w.wantOne("changed") {
				if o == "n0" {
					owned++
				}
			}
			if owned < tt.least || owned > tt.most {
				t.Errorf("n0 owns %d of 300", owned)
			}
			// Should the others go, it is better than nobody.
			w.kill(w.nodes[1])
			w.kill(w.nodes[2])
			w.run(2 * failover)
			if !strings.HasPrefix(tt.name, "without") {
				w.wantOne("alone")
			}
		})
	}
}

// TestLabelledOnLink has a label on the only node that is on the link of the services,
// as kubeadm and kOps put it on control planes, and workers elsewhere, of which one
// comes later. Nobody on the link asks them.
func TestLabelledOnLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 20)
	w.nodes[0].excluded = "label"
	w.nodes[1].link, w.nodes[2].link = 1, 2
	for _, n := range w.nodes {
		w.start(n)
		w.run(2 * settleFor)
		for a, owner := range w.wantOne("with " + n.name) {
			if owner != "n0" {
				t.Errorf("with %s, %s went to %s", n.name, a, owner)
			}
		}
	}
}

// TestLocalKnowledge changes what a node knows of itself while the API server is away:
// others cannot read it, so that nothing moves.
func TestLocalKnowledge(t *testing.T) {
	t.Parallel()
	elsewhere := []netip.Prefix{netip.MustParsePrefix("2001:db8:2::/64")}
	for name, change := range map[string]func(*ownership.Announcer){
		"off the link": func(a *ownership.Announcer) { a.Links[0].OnLink = elsewhere },
		"on the link":  func(a *ownership.Announcer) { a.Links[0].OnLink = append(a.Links[0].OnLink, elsewhere...) },
		"excluded":     func(a *ownership.Announcer) { a.Excluded = "label" },
		"cordoned":     func(a *ownership.Announcer) { a.Cordoned = true },
		"another rule": func(a *ownership.Announcer) { a.Links[0].Prefixes = append(a.Links[0].Prefixes, elsewhere...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := grown(t, 3, 60)
			before := w.wantOne("before")
			w.api = false
			w.run(time.Minute)
			self := w.self(w.nodes[0])
			change(&self)
			w.nodes[0].election.SetSelf(self, w.now)
			for range 30 {
				w.run(renewal / 10)
				if now := w.wantOne("changed"); !maps.Equal(now, before) {
					t.Fatal("owners changed")
				}
			}
		})
	}
}

// TestLeaseDeleted has somebody delete the lease of a node that lives. The others take
// over at once, and it gets its addresses back when it has written the lease again.
func TestLeaseDeleted(t *testing.T) {
	t.Parallel()
	w := grown(t, 3, 60)
	before := w.wantOne("before")
	delete(w.leases, "n1")
	for range 20 {
		w.run(step)
		for a, owners := range w.owners() {
			if len(owners) == 0 {
				t.Fatalf("nobody owns %s", a)
			}
		}
	}
	w.run(renewal)
	if now := w.wantOne("after"); !maps.Equal(now, before) {
		t.Error("the owners are others than before")
	}
}

// TestWeight gives a node three shares.
func TestWeight(t *testing.T) {
	t.Parallel()
	e := ownership.New(ownership.Announcer{Node: "n0", Holder: "1", Weight: 3}, rules.OwnershipHash, 0)
	link := []ownership.Link{{MAC: ownership.MAC{2}, Prefixes: []netip.Prefix{servicePrefix}}}
	w := newWorld(t, 0, 400)
	e.Update(w.facts)
	e.Renewed(ownership.Announcer{Node: "n1", Holder: "1", Weight: 1, Settled: true, Links: link}, w.now)
	e.Renewed(ownership.Announcer{Node: "n0", Holder: "0", Weight: 3, Settled: true, Links: link}, w.now)
	e.SetSelf(ownership.Announcer{Links: link}, w.now)
	e.Begin(w.now)
	w.now = w.now.Add(failover)
	for range 10 {
		e.Due(w.now)
		e.Hear(ownership.Sign{From: ownership.MAC{2}, Address: rules.Presence("n1")}, w.now)
		w.now = w.now.Add(failover / 10)
	}
	if owned := e.Status(w.now).Owned; owned < 260 || owned > 340 {
		t.Errorf("a node of weight 3 owns %d of 400 beside one of weight 1", owned)
	}
}

// TestLocal gives an address to those who have an endpoint.
func TestLocal(t *testing.T) {
	t.Parallel()
	w := grown(t, 3, 20)
	for _, nodes := range [][]string{{"n1"}, {"n0", "n2"}, {}} {
		for i := range w.facts {
			w.facts[i].Local, w.facts[i].Nodes = true, nodes
		}
		for _, n := range w.nodes {
			n.election.Update(w.facts)
		}
		w.run(step)
		for a, owners := range w.owners() {
			if len(nodes) == 0 && len(owners) > 0 || len(nodes) > 0 && (len(owners) != 1 || !strings.Contains(fmt.Sprint(nodes), owners[0])) {
				t.Errorf("%s with endpoints on %v has the owners %v", a, nodes, owners)
			}
		}
	}
}

// TestRecord reads what it writes, and refuses what is none.
func TestRecord(t *testing.T) {
	t.Parallel()
	a := ownership.Announcer{
		Node: "n", Holder: "h", Weight: 2, Settled: true, Excluded: "why",
		Links: []ownership.Link{{MAC: ownership.MAC{2, 0, 0, 0, 0, 1}, Prefixes: []netip.Prefix{servicePrefix}}},
	}
	got, err := ownership.ParseRecord("n", "h", a.Record())
	if err != nil || fmt.Sprint(got) != fmt.Sprint(a) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", `{"links":[{"mac":"x"}]}`, `{"links":[{"mac":"02:00:00:00:00:01","prefixes":["x"]}]}`, `[]`} {
		if _, err := ownership.ParseRecord("n", "h", bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
