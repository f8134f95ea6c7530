// SPDX-License-Identifier: Apache-2.0

//go:build full

package node

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// fastPathValues are those of a cluster whose pods may answer in the kernel. Without a daemon
// the program believes its table for longer than a kubelet may take to start one.
const fastPathValues = `
image: {pullPolicy: Never}
fastPath: {enabled: true}
uplinks: [{interface: uplink, fast_path: auto, fast_path_hold: 10m}]
rules: [{prefix: "2001:db8:1:0:f::/104", method: static}]
kubernetesServiceHost: "fd00:aa::1"
kubernetesServicePort: 6443
`

// TestFastPath installs the chart with what answers in the kernel, on one node, where nobody
// else answers while its daemon does not run.
func TestFastPath(t *testing.T) {
	s := &site{t: t, c: cluster.StartComplete(t)}
	s.n = cluster.NewNetwork(t, s.c, 1)
	s.a = s.n.Asker()
	s.chart = one(t, "../../../dist/ndproxyd-*.tgz")
	s.values = filepath.Join(t.TempDir(), "values.yaml")
	harness.Must(t, os.WriteFile(s.values, []byte(fastPathValues), 0o600))
	s.n.Nodes[0].RunKubelet(cluster.KubeletToken, cluster.PauseImage(t), one(t, "../../../dist/ndproxyd_*_image.tar"))
	s.helm("install", "ndproxyd", s.chart, "--namespace", "ndproxyd", "--create-namespace", "--values", s.values, "--wait", "--timeout", "120s")
	s.a.WantAnswer(conformance.Pod)

	const capabilities = "0000008000003000" // CAP_NET_ADMIN (12), CAP_NET_RAW (13) and CAP_BPF (39)
	text, err := os.ReadFile(filepath.Join("/proc", itoa(process(t, s.n.Nodes[0]).Pid), "status"))
	harness.Must(t, err)
	for _, want := range []string{"CapEff:\t" + capabilities, "CapBnd:\t" + capabilities, "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("the process has no %q: %s", want, text)
		}
	}
	s.wantProgram()

	t.Log("a killed daemon")
	before := s.restarts()
	got := s.a.While(conformance.Pod, func() {
		harness.Must(t, process(t, s.n.Nodes[0]).Kill())
		harness.Eventually(t, "restart", func() bool { return s.restarts() == before+1 && len(s.pods()) == 1 })
	})
	if t.Logf("%d of %d unanswered", got.Unanswered, got.Asked); got.Unanswered != 0 || got.Asked == 0 {
		t.Error("a killed daemon loses solicitations")
	}
	s.wantProgram()

	t.Log("a rollout, during which the node answers for as long as the program is believed after a planned stop")
	old := s.pods()
	got = s.a.While(conformance.Pod, func() {
		s.upgrade("--values", s.values, "--set", "podAnnotations.rollout=r")
		harness.Eventually(t, "another pod", func() bool { now := s.pods(); return len(now) == 1 && now[0].UID != old[0].UID })
	})
	t.Logf("%d of %d unanswered, longest time without an answer %s", got.Unanswered, got.Asked, got.Longest)
	s.wantProgram()

	s.helm("uninstall", "ndproxyd", "--namespace", "ndproxyd", "--wait", "--timeout", "60s")
	harness.Eventually(t, "no daemon", func() bool { return daemonOf(s.n.Nodes[0]) == "" })
	if s.a.Ask(conformance.Pod, harness.Quiet) != nil {
		t.Error("the program answers although the DaemonSet is gone")
	}
	s.wantNoProgram()
}

// wantNoProgram has nothing be attached to the uplink.
func (s *site) wantNoProgram() {
	s.t.Helper()
	harness.Must(s.t, s.n.Nodes[0].Do(func() error {
		l, err := net.InterfaceByName(harness.Uplink)
		if err != nil {
			return err
		}
		q, err := link.QueryPrograms(link.QueryOptions{Target: l.Index, Attach: ebpf.AttachTCXIngress})
		if err == nil && len(q.Programs) > 0 {
			s.t.Errorf("%d programs are attached", len(q.Programs))
		}
		return err
	}))
}

// wantProgram waits until the program answers on the node.
func (s *site) wantProgram() {
	s.t.Helper()
	harness.Eventually(s.t, "answers by the program", func() bool {
		now, err := client(s.n.Nodes[0]).Status(context.Background())
		return err == nil && len(now.Uplinks) == 1 && now.Uplinks[0].FastPath != nil &&
			now.Uplinks[0].FastPath.Way == "tc" && strings.HasPrefix(now.Uplinks[0].FastPath.Pinned, "/bpf/")
	})
}
