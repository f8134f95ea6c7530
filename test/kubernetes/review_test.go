// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// reviewed is an endpoint as the chart has it by default.
const reviewed = "metrics: {listen: ':9972', authentication: kubernetes}\nhealth: {listen: '[::1]:9973'}\n"

// scrape gets a page of the node's daemon as a Prometheus does, which comes to the
// node's address with a token.
func scrape(node *cluster.Node, token, page string) (int, string) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: node.Dial, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	req, _ := http.NewRequest(http.MethodGet, page, nil)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// awaitPage waits for the endpoint, which opens after the sockets.
func awaitPage(t *testing.T, node *cluster.Node) {
	t.Helper()
	harness.Eventually(t, "metrics endpoint", func() bool {
		code, _ := scrape(node, "", "https://["+node.Addr.String()+"]:9972/metrics")
		return code == http.StatusUnauthorized
	})
}

// TestReview scrapes a node's public address with and without permission, and
// without an API server.
func TestReview(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	node := n.Nodes[0]
	c.ApplyFile("deploy/kubernetes/rbac.yaml")
	c.Scraper()
	c.Apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: nobody, namespace: default}\n")
	config := node.ConfigFor(c.AgentToken(node.Name), settle, both+reviewed)
	harness.ReplaceIn(t, config, "namespace: default", "namespace: ndproxyd") // where the account may write leases
	harness.Run(t, node.Namespace, "--config", config)
	metrics := "https://[" + node.Addr.String() + "]:9972/metrics"
	awaitPage(t, node)
	permitted, another, nobody := c.AccountToken("prometheus"), c.AccountToken("prometheus"), c.AccountToken("nobody")
	want := func(token, page string, code int, words string) {
		t.Helper()
		if got, body := scrape(node, token, page); got != code || !strings.Contains(body, words) {
			t.Errorf("%s is %d %.300s, want %d %q", page, got, body, code, words)
		}
	}
	want(permitted, metrics, 200, "ndproxyd_build_info")
	want("", metrics, 401, "bearer token")
	want("rubbish", metrics, 403, "may get the non-resource URL /metrics")
	want(strings.Repeat("x", 20000), metrics, 403, "may get")
	want(nobody, metrics, 403, "may get")
	want(permitted, "https://["+node.Addr.String()+"]:9972/", 403, "URL /\n")
	want("", "http://[::1]:9973/healthz", 200, "ok")
	harness.Eventually(t, "readiness", func() bool {
		code, body := scrape(node, "", "http://[::1]:9973/readyz")
		return code == 200 && strings.Contains(body, "ready")
	})
	want("", "http://[::1]:9973/metrics", 404, "")
	if code, body := scrape(node, permitted, "http://["+node.Addr.String()+"]:9972/metrics"); code != 400 {
		t.Errorf("without TLS it is %d %s", code, body)
	}

	// Whoever is known goes on to see what an outage does, and nobody else.
	c.StopServer(syscall.SIGKILL)
	want(permitted, metrics, 200, "ndproxyd_build_info")
	want(nobody, metrics, 403, "may get")
	want(another, metrics, 503, "cannot be reviewed now")
	want("", "http://[::1]:9973/healthz", 200, "ok")
	c.StartServer()

	// Many wrong tokens get few answers, and keep nobody out.
	refused := 0
	for i := range 20 {
		if code, _ := scrape(node, strings.Repeat("y", i+1), metrics); code == 503 {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("%d of 20 wrong tokens were not asked about", refused)
	}
	want(permitted, metrics, 200, "ndproxyd_build_info")
	harness.Eventually(t, "another token once the server is back", func() bool {
		code, _ := scrape(node, another, metrics)
		time.Sleep(200 * time.Millisecond)
		return code == 200
	})
}

// TestReadiness follows the page that a rollout waits for, through starts with and
// without an API server.
func TestReadiness(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 1)
	node := n.Nodes[0]
	config := node.ConfigFor(cluster.AdminToken, settle, both+"health: {listen: '[::1]:9973'}\n")
	page := func() (int, string) { return scrape(node, "", "http://[::1]:9973/readyz") }
	want := func(when string, code int, words string) {
		t.Helper()
		if got, body := page(); got != code || !strings.Contains(body, words) {
			t.Errorf("%s it is %d %q, want %d %q", when, got, body, code, words)
		}
	}
	c.StopServer(syscall.SIGKILL)
	d := harness.Run(t, node.Namespace, "--config", config) // waits for the uplink
	harness.Eventually(t, "page", func() bool { code, _ := page(); return code != 0 })
	want("with nothing known", 503, "uplink ready")
	want("with nothing known", 503, "kubernetes waits for services")
	c.StartServer()
	harness.Eventually(t, "readiness", func() bool { code, _ := page(); return code == 200 })
	if !slices.ContainsFunc(d.Status().Cluster.Sources, func(s status.Source) bool { return s.Source == "own lease" && s.Synced }) {
		t.Error("it is ready before others know of it")
	}
	c.StopServer(syscall.SIGKILL)
	want("without the server that was there", 200, "uplink ready")
	d.Signal(syscall.SIGTERM)
	d.Exit()
	harness.Run(t, node.Namespace, "--config", config)
	harness.Eventually(t, "readiness from the snapshot", func() bool { code, _ := page(); return code == 200 })
}
