// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// follows reports whether a daemon follows a kind of object.
func follows(s status.Status, source string) bool {
	return slices.ContainsFunc(s.Cluster.Sources, func(src status.Source) bool { return src.Source == source })
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
	t.Parallel()
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
	start := func(i int) {
		if i%4 == 0 {
			daemons[i] = run(t, n.Nodes[i], settle, both)
			return
		}
		// So many daemons would keep the processors busy for minutes with the race detector.
		daemons[i] = harness.StartProgram(t, n.Nodes[i].Namespace, harness.PlainBinary(t), "run",
			"--config", n.Nodes[i].ConfigFor(cluster.AdminToken, settle, both))
		daemons[i].WaitReady()
	}
	for i := range nodes {
		start(i)
	}
	for _, d := range daemons {
		d.Wait("a question for the leases", func(s status.Status) bool { return follows(s, "leases") })
	}
	c.StartServer()
	const looks = 40 * time.Second // how often one looks, and a bit
	var by []int
	harness.Within(t, looks, "four that stand by", func() bool {
		by = standing(daemons)
		return len(by) == nodes-ownership.MaxAnnouncers
	})
	t.Logf("nodes %v stand by", by)

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

	// A Local policy calls one of them in, while it needs it.
	local := corev1.ServiceInternalTrafficPolicyLocal
	target := c.CreateService("local", func(s *corev1.Service) { s.Spec.InternalTrafficPolicy = &local })
	moved := time.Now()
	endpoint(t, c, "local", n.Nodes[by[1]].Name)
	harness.Within(t, looks, "answer of the endpoint's node", func() bool { return slices.Equal(answers(n, a, target, 50*time.Millisecond), by[1:2]) })
	t.Logf("it answers %s after the endpoint was there", time.Since(moved))
	c.DeleteService("local")
	harness.Within(t, 2*looks, "standby of that node", func() bool { return slices.Equal(standing(daemons), by) })

	// An owner is killed: another node has its seat when its lease has stayed as it is
	// for a look, and keeps it, although that lease is still there.
	killed := before[0]
	harness.Must(t, daemons[killed].Process.Kill())
	daemons[killed].Exit()
	wantOwner(t, n, a, targets[0])
	rest := slices.Delete(slices.Clone(daemons), killed, killed+1)
	harness.Within(t, 3*looks, "node in its place", func() bool { return len(standing(rest)) == len(by)-1 })
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		if now := standing(rest); len(now) != len(by)-1 {
			t.Fatalf("nodes %v stand by a moment later", now)
		}
	}
	owners(t, n, a, targets)

	// It comes back to its seat, and the one that took it stands by again.
	start(killed)
	harness.Within(t, looks, "four that stand by again", func() bool {
		now := standing(daemons)
		return len(now) == len(by) && !slices.Contains(now, killed)
	})
	owners(t, n, a, targets)
}
