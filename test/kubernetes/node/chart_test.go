// SPDX-License-Identifier: Apache-2.0

//go:build full

package node

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestChart installs the chart, looks whether it does what it is for, and takes away
// what a cluster loses.
func TestChart(t *testing.T) {
	s := &site{t: t, c: cluster.StartComplete(t)}
	s.n = cluster.NewNetwork(t, s.c, 2)
	s.a = s.n.Asker()
	s.chart = one(t, "../../../dist/ndproxyd-*.tgz")
	s.values = filepath.Join(t.TempDir(), "values.yaml")
	harness.Must(t, os.WriteFile(s.values, []byte(values), 0o600))
	images := []string{cluster.PauseImage(t), one(t, "../../../dist/ndproxyd_*_image.tar")}
	for i, node := range s.n.Nodes {
		node.RunKubelet([]string{cluster.KubeletToken, cluster.KubeletToken + "2"}[i], images...)
	}
	s.c.Apply(monitors)
	s.service = s.c.CreateService("web")

	begin := time.Now()
	s.helm("install", "ndproxyd", s.chart, "--namespace", "ndproxyd", "--create-namespace", "--values", s.values, "--wait", "--timeout", "120s")
	t.Logf("installed and ready after %s", time.Since(begin).Round(100*time.Millisecond))
	s.awaitPods()
	s.a.WantAnswer(conformance.Pod)
	s.a.WantAnswer(s.service)
	s.helm("test", "ndproxyd", "--namespace", "ndproxyd", "--timeout", "60s")
	s.checkPod()
	s.checkMetrics()
	s.checkKill()
	s.checkSecond()
	s.checkOutage()
	s.checkRollout()
	s.checkReload()
	s.checkRollback()
	s.checkIdle()

	s.helm("uninstall", "ndproxyd", "--namespace", "ndproxyd", "--wait", "--timeout", "60s")
	s.a.WantSilence(conformance.Pod)
	s.a.WantSilence(s.service)
}

// checkPod looks at the process as the kernel sees it.
func (s *site) checkPod() {
	s.t.Helper()
	const capNetRaw = "0000000000002000"
	status, err := os.ReadFile(filepath.Join("/proc", itoa(process(s.t, s.n.Nodes[0]).Pid), "status"))
	harness.Must(s.t, err)
	for _, want := range []string{"CapEff:\t" + capNetRaw, "CapBnd:\t" + capNetRaw, "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(status), want+"\n") {
			s.t.Errorf("the process has no %q: %s", want, status)
		}
	}
}

// checkMetrics scrapes a node's address with the account that the PodMonitor has.
func (s *site) checkMetrics() {
	s.t.Helper()
	var token string
	harness.Eventually(s.t, "token of the scraper", func() bool {
		secret, err := s.c.Client.CoreV1().Secrets("ndproxyd").Get(context.Background(), "ndproxyd-scraper", metav1.GetOptions{})
		if err != nil {
			return false
		}
		token = string(secret.Data["token"])
		return token != ""
	})
	node := s.n.Nodes[0]
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: node.Dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	for credentials, want := range map[string]int{"Bearer " + token: 200, "Bearer x": 403, "": 401} {
		req, _ := http.NewRequest(http.MethodGet, "https://["+node.Management.String()+"]:9972/metrics", nil)
		req.Header.Set("Authorization", credentials)
		resp, err := client.Do(req)
		harness.Must(s.t, err)
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || want == 200 && !strings.Contains(string(body), "ndproxyd_kubernetes_source_synced") {
			s.t.Errorf("a scrape with %.10s… is %d %.200s, want %d", credentials, resp.StatusCode, body, want)
		}
	}
}

// checkKill kills the daemon of one node.
func (s *site) checkKill() {
	s.t.Helper()
	before := s.restarts()
	harness.Must(s.t, process(s.t, s.n.Nodes[0]).Kill())
	harness.Eventually(s.t, "restart", func() bool { return s.restarts() == before+1 && len(s.pods()) == 2 })
	s.a.WantAnswer(conformance.Pod)
	s.a.WantAnswer(s.service)
}

// checkSecond starts a daemon on a node beside its pod, as the package does.
func (s *site) checkSecond() {
	s.t.Helper()
	d := harness.StartProgram(s.t, s.n.Nodes[0].Namespace, one(s.t, "../../../dist/linux-amd64/ndproxyd"), "run", "--interface", harness.Uplink, "--rule", "2001:db8:1:0:f::/104=static")
	if code := d.Exit(); code != 1 || !strings.Contains(d.Log(), "another ndproxyd answers on this host: the pod ndproxyd/ndproxyd-") {
		s.t.Errorf("a second daemon ends with %d: %s", code, d.Log())
	}
}

// checkOutage takes the API server away for longer than probes would take to fail.
func (s *site) checkOutage() {
	s.t.Helper()
	s.settled() // as one has just been killed
	before := s.restarts()
	s.c.StopServer(syscall.SIGKILL)
	got := s.a.While(s.service, func() { time.Sleep(45 * time.Second) })
	s.c.StartServer()
	s.t.Logf("without the API server: %d of %d unanswered", got.Unanswered, got.Asked)
	if got.Unanswered > 0 {
		s.t.Error("an outage loses answers")
	}
	s.awaitPods()
	if after := s.restarts(); after != before {
		s.t.Errorf("%d restarts while the API server was away", after-before)
	}
}

// checkRollout changes the pods, which replaces one after the other: with what they know
// from their state, and without. The other node answers meanwhile.
func (s *site) checkRollout() {
	s.t.Helper()
	for i, forget := range []bool{false, false, true} {
		if forget {
			for _, node := range s.n.Nodes {
				harness.Must(s.t, os.Remove(filepath.Join(node.Dir, "state.json")))
			}
		}
		s.settled()
		old := s.pods()
		got := s.a.While(s.service, func() {
			s.helm("upgrade", "ndproxyd", s.chart, "--namespace", "ndproxyd", "--values", s.values, "--set", "podAnnotations.rollout=r"+itoa(i), "--wait", "--timeout", "120s")
			s.awaitPods(old...)
			s.settled()
		})
		s.t.Logf("during a rollout: %d of %d unanswered, longest time without an answer %s", got.Unanswered, got.Asked, got.Longest)
		if got.Unanswered > 0 {
			s.t.Error("a rollout loses answers for a service address, which another node takes over")
		}
	}
}

// checkReload changes the rules, which replaces no pod: to another prefix and back, by
// each way in which helm takes values over, and to rules that are wrong.
func (s *site) checkReload() {
	s.t.Helper()
	other := netip.MustParseAddr("2001:db8:1:0:d::7")
	a := s.n.Asker() // beside the one that asks all the time
	a.WantSilence(other)
	old, restarts := s.pods(), s.restarts()
	got := s.a.While(s.service, func() {
		s.upgrade("--reuse-values", "--set-json", `rules=[{"prefix": "2001:db8:1:0:d::/104", "method": "static"}, {"prefix": "2001:db8:1:0:e::/112", "method": "services"}]`)
		a.WantAnswer(other)
		a.WantSilence(conformance.Pod)
		// The schema takes it, and the daemon does not.
		s.upgrade("--reuse-values", "--set-json", `rules=[{"prefix": "2001:db8:1:0:d::/104", "method": "static", "delay": "soon"}]`)
		harness.Eventually(s.t, "a failed reload", func() bool { return strings.Contains(s.logs(), "reload failed, the old configuration stays in force") })
		a.WantAnswer(other)
		s.upgrade("--reset-then-reuse-values", "--values", s.values)
		a.WantAnswer(conformance.Pod)
		a.WantSilence(other)
	})
	s.same(old, restarts)
	s.t.Logf("while the rules change: %d of %d unanswered, longest time without an answer %s", got.Unanswered, got.Asked, got.Longest)
	if got.Longest > time.Second {
		s.t.Error("a change of the rules interrupts the answers for what they have in common")
	}
}

// checkRollback goes back to the first revision, with the strategy of the chart before.
func (s *site) checkRollback() {
	s.t.Helper()
	old := s.pods()
	s.helm("rollback", "ndproxyd", "1", "--namespace", "ndproxyd", "--wait", "--timeout", "120s")
	s.awaitPods(old...)
	s.a.WantAnswer(conformance.Pod)
	s.a.WantAnswer(s.service)
}

// checkIdle takes IPv6 from the uplink of a node, which does not hold up a rollout.
func (s *site) checkIdle() {
	s.t.Helper()
	harness.Must(s.t, s.n.Nodes[1].Sysctl("net/ipv6/conf/"+harness.Uplink+"/disable_ipv6", "1"))
	old := s.pods()
	s.upgrade("--values", s.values, "--set", "podAnnotations.rollout=idle")
	s.awaitPods(old...)
	s.a.WantAnswer(s.service)
}
