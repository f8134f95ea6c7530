// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/daemon"
	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// follows reports whether a daemon follows a kind of object.
func follows(s daemon.Status, source string) bool {
	return slices.ContainsFunc(s.Cluster.Sources, func(src daemon.SourceStatus) bool { return src.Source == source })
}

// standing returns which daemons stand by.
func standing(ds []*harness.Daemon) (by []int) {
	for i, d := range ds {
		if s := d.Status(); s.Cluster.Standby && !follows(s, "services") && !follows(s, "own lease") {
			by = append(by, i)
		}
	}
	return by
}

// TestStandby starts more nodes than may announce, all at the same moment: the API
// server comes after them. Those who came first stay, and the others know nothing
// of services until there is a seat.
func TestStandby(t *testing.T) {
	const nodes = ownership.MaxAnnouncers + 4
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, nodes)
	for i := range 100 { // so many nodes that they come forward one after the other
		c.CreateNode(fmt.Sprintf("far%d", i), addr(fmt.Sprintf("2001:db8:2::%x", i+1)))
	}
	a := n.Asker()
	targets := services(c, "s", 12)
	pod := addr("2001:db8:1:0:f::5")
	c.StopServer(syscall.SIGTERM)
	daemons := make([]*harness.Daemon, nodes)
	for i, node := range n.Nodes {
		daemons[i] = run(t, node, settle, both)
	}
	for _, d := range daemons {
		d.Wait("a question for the leases", func(s daemon.Status) bool { return follows(s, "leases") })
	}
	c.StartServer()
	var by []int
	harness.Eventually(t, "four that stand by", func() bool {
		by = standing(daemons)
		return len(by) == nodes-ownership.MaxAnnouncers
	})
	spare := 0
	for _, d := range daemons {
		spare += strings.Count(d.Log(), "for longer: this one stands by")
	}
	t.Logf("nodes %v stand by, of %d that had come forward %d were spare", by, ownership.MaxAnnouncers+spare, spare)

	// One that stands by does everything else, and says why not this.
	d := daemons[by[0]]
	c.CreatePod("p", n.Nodes[by[0]].Name, pod)
	a.WantAnswer(pod)
	e := d.Explain(targets[0]).Answers[0]
	if e.Answered || !strings.Contains(e.Why, "stands by") || e.Cluster == nil || !e.Cluster.Standby {
		t.Errorf("got %+v", e)
	}
	if s := d.Status().Cluster; s.Frozen || s.Announcers < ownership.MaxAnnouncers || s.ServiceAddresses != 0 {
		t.Errorf("got %+v", s)
	}
	before := owners(t, n, a, targets)
	for _, i := range by {
		if slices.Contains(before, i) {
			t.Errorf("node %d stands by, and owns one of %v", i, before)
		}
	}

	// It goes on to do so after a reload.
	d.Reload()
	if now := standing(daemons); !slices.Equal(now, by) {
		t.Errorf("after a reload %v stand by, and %v did before", now, by)
	}

	// An owner stops: another node has its seat soon, and every address an owner.
	stopped := before[0]
	daemons[stopped].Signal(syscall.SIGTERM)
	daemons[stopped].Exit()
	wantOwner(t, n, a, targets[0])
	rest := slices.Delete(slices.Clone(daemons), stopped, stopped+1)
	const looks = 40 * time.Second // how often one looks, and a bit
	for end := time.Now().Add(2 * looks); len(standing(rest)) != len(by)-1; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nodes %v of %d stand by, want one less", standing(rest), len(rest))
		}
	}
	owners(t, n, a, targets)
	// It comes back when its seat is taken, and stands by. Leases tell seconds apart.
	time.Sleep(2 * time.Second)
	daemons[stopped] = run(t, n.Nodes[stopped], settle, both)
	daemons[stopped].Wait("a look at the leases", func(s daemon.Status) bool { return s.Cluster.Standby })
}
