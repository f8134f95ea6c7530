// SPDX-License-Identifier: Apache-2.0

//go:build full

package monitoring

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

const daemonRules = `rules:
  - {prefix: "2001:db8:1:0:f::/80", method: static}
  - {prefix: "2001:db8:1:0:f::dead", method: deny}
  - {prefix: "2001:db8:1:0:b::/80", method: node}
  - {prefix: "2001:db8:1:0:e::/112", method: services}
  - {prefix: "2001:db8:1:0:9::/112", method: file, targets: %s}
metrics: {listen: ":9972", authentication: kubernetes}
`

// TestPrometheus scrapes a daemon under load, and lets happen to it what the alerts
// are about.
func TestPrometheus(t *testing.T) {
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	node, a := n.Nodes[0], n.Asker()
	c.ApplyFile("deploy/kubernetes/rbac.yaml")
	c.Scraper()
	service := c.CreateService("web")
	targets := filepath.Join(t.TempDir(), "targets")
	harness.Must(t, os.WriteFile(targets, []byte("2001:db8:1:0:9::1\n"), 0o600))
	file := node.ConfigFor(c.AgentToken(node.Name), "  settle: 1s\n", fmt.Sprintf(daemonRules, targets))
	harness.ReplaceIn(t, file, "namespace: default", "namespace: ndproxyd")
	d := harness.Run(t, node.Namespace, "--config", file)
	a.WantAnswer(service)
	p := start(t, c.AccountToken("prometheus"), node)
	p.wait(`up{job="ndproxyd"}`, 1)

	// What was counted until now, by a scrape that comes later than the last question.
	const received = `sum(ndproxyd_solicitations_received_total{interface="uplink"})`
	p.scraped()
	before := make(map[string]float64)
	series := []string{
		received,
		`sum(ndproxyd_solicitations_answered_total{interface="uplink"})`,
		`ndproxyd_solicitations_ignored_total{interface="uplink",reason="denied"}`,
		`sum(ndproxyd_advertisements_sent_total{interface="uplink",kind=~"solicited|dad"})`,
		`sum(ndproxyd_answer_duration_seconds_count{interface="uplink"})`,
	}
	for _, s := range series {
		got, complaint := p.query(s)
		if len(got) != 1 {
			t.Fatalf("%s is %v %s", s, got, complaint)
		}
		before[s] = got[0]
	}
	const answered, denied = 20000, 5000
	for i := range answered {
		a.Port.Send(conformance.Solicitation(conformance.Pod).Bytes())
		if i%(answered/denied) == 0 {
			a.Port.Send(conformance.Solicitation(addr("2001:db8:1:0:f::dead")).Bytes())
		}
		if i%100 == 0 {
			time.Sleep(10 * time.Millisecond) // about 10,000 a second, for several scrapes
		}
	}
	for i, more := range []float64{answered + denied, answered, denied, answered, answered} {
		p.wait(series[i], before[series[i]]+more)
	}
	p.wait(`ndproxyd_socket_drops_total{interface="uplink"}`, 0)

	// Every query of the dashboard is understood, and has an answer.
	for name, q := range dashboardQueries(t) {
		p.has("dashboard: "+name, q)
	}
	for _, r := range []string{"solicitations_received:rate5m", "solicitations_answered:rate5m", "solicitations_ignored:rate5m", "answer_duration_seconds:p99_5m"} {
		p.has("recording rule", "ndproxyd:"+r)
	}

	// While all is well nothing fires, but for what is odd about this host: the static
	// rule leads nowhere.
	p.scraped()
	p.evaluated()
	p.firing("NdproxydSlowAnswers", false) // a busy machine may have been slow under load
	p.quiet("while all is well", "NdproxydMisconfigured", "NdproxydKubernetesStale")
	content, err := os.ReadFile(file)
	harness.Must(t, err)
	harness.ReplaceIn(t, file, "method: static", "method: statik")
	d.Reload()
	p.firing("NdproxydReloadFailed", true)
	harness.Must(t, os.WriteFile(file, content, 0o600))
	d.Reload()
	p.firing("NdproxydReloadFailed", false)

	harness.Must(t, os.WriteFile(targets, []byte("2001:db8:1:0:9::1\nno address\n"), 0o600))
	p.firing("NdproxydTargetFile", true)
	harness.Must(t, os.WriteFile(targets, []byte("2001:db8:1:0:9::1\n"), 0o600))
	p.firing("NdproxydTargetFile", false)

	harness.ReplaceIn(t, file, "drop_loops: true", "drop_loops: true, limit_per_asker: 10")
	d.Reload()
	p.during("NdproxydRateLimited", func() { solicit(a, 100) })
	harness.Must(t, os.WriteFile(file, content, 0o600))
	d.Reload()
	p.firing("NdproxydRateLimited", false)

	// A daemon that gets no processor for a while answers late, and its ring overflows.
	d.Signal(syscall.SIGSTOP)
	solicit(a, 20000)
	time.Sleep(time.Second)
	d.Signal(syscall.SIGCONT)
	p.firing("NdproxydSocketDrops", true)
	p.firing("NdproxydSlowAnswers", true)
	p.firing("NdproxydSocketDrops", false)
	p.firing("NdproxydSlowAnswers", false)

	// The device takes next to nothing.
	uplink, err := node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	narrow := &netlink.Tbf{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: uplink.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}, Rate: 8, Limit: 1, Buffer: 31_250_000} // bytes a second, bytes, and ticks of 64 ns: 16 bytes
	harness.Must(t, node.Link.QdiscAdd(narrow))
	p.during("NdproxydSendErrors", func() { solicit(a, 100) })
	harness.Must(t, node.Link.QdiscDel(narrow))
	p.firing("NdproxydSendErrors", false)

	// Nobody asks any more.
	p.firing("NdproxydNoSolicitations", true)
	a.WantAnswer(conformance.Pod)
	p.firing("NdproxydNoSolicitations", false)

	harness.Must(t, node.Sysctl("net/ipv6/conf/uplink/forwarding", "0"))
	harness.Must(t, node.Sysctl("net/ipv6/conf/all/forwarding", "0"))
	p.firing("NdproxydMisconfigured", true)
	harness.Must(t, node.Sysctl("net/ipv6/conf/all/forwarding", "1"))

	harness.Must(t, n.Router.Address(harness.RouterPort, conformance.Pod.String()+"/128"))
	claim := conformance.Solicitation(addr("2001:db8:1:0:f::77"))
	claim.Source = conformance.Pod
	harness.Eventually(t, "conflict", func() bool {
		a.Port.Send(claim.Bytes())
		got, _ := p.query(`ndproxyd_conflicts_total{interface="uplink"}`)
		return len(got) == 1 && got[0] > 0
	})
	p.firing("NdproxydAddressConflict", true)

	harness.Must(t, n.Switch.Down(node.Name))
	p.firing("NdproxydUplinkNotReady", true)
	harness.Must(t, n.Switch.Up(node.Name))
	p.firing("NdproxydUplinkNotReady", false)

	p.firing("NdproxydKubernetesStale", false)
	c.StopServer(os.Kill)
	p.firing("NdproxydOwnershipFrozen", true)
	p.firing("NdproxydKubernetesStale", true)
	c.StartServer()
	p.firing("NdproxydOwnershipFrozen", false)
	p.firing("NdproxydKubernetesStale", false)

	p.firing("NdproxydDown", false)
	harness.Must(t, d.Process.Kill())
	p.firing("NdproxydDown", true)
	d.Exit()

	// The next daemon may not read services.
	p.firing("NdproxydKubernetesNotSynced", false)
	role, err := c.Client.RbacV1().ClusterRoles().Get(t.Context(), "ndproxyd", metav1.GetOptions{})
	harness.Must(t, err)
	role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "services") })
	_, err = c.Client.RbacV1().ClusterRoles().Update(t.Context(), role, metav1.UpdateOptions{})
	harness.Must(t, err)
	harness.Run(t, node.Namespace, "--config", file)
	p.firing("NdproxydKubernetesNotSynced", true)
}

// solicit asks for an address a number of times, at once.
func solicit(a *harness.Asker, times int) {
	for range times {
		a.Port.Send(conformance.Solicitation(conformance.Pod).Bytes())
	}
}

// during does something again and again until an alert fires.
func (p *prometheus) during(alert string, f func()) {
	p.t.Helper()
	done := make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		for {
			f()
			select {
			case <-done:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	defer g.Wait()
	defer close(done)
	p.firing(alert, true)
}
