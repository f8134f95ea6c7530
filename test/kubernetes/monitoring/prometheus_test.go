// SPDX-License-Identifier: Apache-2.0

//go:build full

package monitoring

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

const (
	tools = "../../../.cache/tools/"
	rules = "../../../deploy/prometheus/rules.yaml"
)

// prometheus is a server in a node's namespace.
type prometheus struct {
	t    *testing.T
	node *cluster.Node
}

// config scrapes the node's address as the chart's PodMonitor does.
const config = `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: ndproxyd
    scheme: https
    tls_config: {insecure_skip_verify: true}
    authorization: {credentials_file: %s}
    static_configs: [{targets: [%s]}]
`

// start starts a Prometheus on a node, which scrapes that node and others. Its alerts wait
// for nothing and look back a few seconds, since the test does not wait for minutes. What
// they wait for is in alerts.yaml.
func start(t *testing.T, token string, node *cluster.Node, others ...*cluster.Node) *prometheus {
	t.Helper()
	var targets []string
	for _, n := range append([]*cluster.Node{node}, others...) {
		targets = append(targets, strconv.Quote(instance(n)))
	}
	dir := t.TempDir()
	b, err := os.ReadFile(rules)
	harness.Must(t, err)
	quick := regexp.MustCompile(`for: \d+[mh]`).ReplaceAllString(string(b), "for: 0s")
	quick = regexp.MustCompile(`\[\d+[mh]\]`).ReplaceAllString(quick, "[15s]")
	quick = strings.Replace(quick, "_timestamp_seconds > 900", "_timestamp_seconds > 75", 1) // a bookmark comes once a minute
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		harness.Must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	path := write("prometheus.yml", fmt.Sprintf(config, write("rules.yaml", quick), write("token", token), strings.Join(targets, ", ")))
	log, err := os.Create(filepath.Join(dir, "log"))
	harness.Must(t, err)
	binary, err := filepath.Abs(tools + "prometheus")
	harness.Must(t, err)
	p, err := node.Start(binary, []string{"--config.file=" + path, "--storage.tsdb.path=" + dir + "/data", "--web.listen-address=[::1]:9090"}, log, log, nil)
	harness.Must(t, err)
	t.Cleanup(func() {
		_ = p.Kill()
		_, _ = p.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("Prometheus' log:\n%.4000s", b)
		}
	})
	server := &prometheus{t: t, node: node}
	harness.Eventually(t, "ready Prometheus", func() bool {
		code, _ := server.get("/-/ready")
		return code == http.StatusOK
	})
	return server
}

func (p *prometheus) get(path string) (int, []byte) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: p.node.Dial, DisableKeepAlives: true}}
	resp, err := client.Get("http://[::1]:9090" + path)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	var b json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&b); err != nil {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, b
}

// query returns the samples of an expression, and the server's complaint about it.
func (p *prometheus) query(expression string) (values []float64, complaint string) {
	p.t.Helper()
	var b []byte
	harness.Eventually(p.t, "reply of Prometheus", func() bool { // which may stand still for as long as a request may take
		_, b = p.get("/api/v1/query?query=" + url.QueryEscape(expression))
		return b != nil
	})
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Value [2]any `json:"value"`
			}
		}
	}
	harness.Must(p.t, json.Unmarshal(b, &answer))
	if answer.Status != "success" {
		return nil, answer.Error
	}
	for _, r := range answer.Data.Result {
		v, err := strconv.ParseFloat(r.Value[1].(string), 64)
		harness.Must(p.t, err)
		values = append(values, v)
	}
	return values, ""
}

// wait waits until an expression has one sample with a value.
func (p *prometheus) wait(expression string, want float64) {
	p.t.Helper()
	var got []float64
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if got, _ = p.query(expression); len(got) == 1 && got[0] == want {
			return
		}
	}
	p.t.Errorf("%s is %v, want %g", expression, got, want)
}

// has waits until an expression has a sample.
func (p *prometheus) has(what, expression string) {
	p.t.Helper()
	harness.Eventually(p.t, "data of "+what+": "+expression, func() bool {
		got, complaint := p.query(expression)
		if complaint != "" {
			p.t.Fatalf("%s: %s: %s", what, expression, complaint)
		}
		return len(got) > 0
	})
}

// scraped waits for scrapes of all targets that begin from now on.
func (p *prometheus) scraped() { p.newer(`min(timestamp(up{job="ndproxyd"}))`) }

// evaluated waits for an evaluation of the rules that begins from now on.
func (p *prometheus) evaluated() { p.newer("min(timestamp(ndproxyd:solicitations_received:rate5m))") }

// newer waits until an expression is a later time than now.
func (p *prometheus) newer(expression string) {
	p.t.Helper()
	now := float64(time.Now().UnixMilli()) / 1000
	harness.Eventually(p.t, "time of now: "+expression, func() bool {
		got, _ := p.query(expression)
		return len(got) == 1 && got[0] > now
	})
}

// instance is the label by which a node is scraped.
func instance(n *cluster.Node) string { return "[" + n.Addr.String() + "]:9972" }

// firing waits until an alert fires, or does not.
func (p *prometheus) firing(alert string, want bool) {
	p.t.Helper()
	p.wants("alert "+alert, `ALERTS{alertname="`+alert+`", alertstate="firing"}`, want)
}

// firingAt waits until an alert fires for a node, or does not.
func (p *prometheus) firingAt(n *cluster.Node, alert string, want bool) {
	p.t.Helper()
	p.wants("alert "+alert+" of "+n.Name, `ALERTS{alertname="`+alert+`", instance="`+instance(n)+`", alertstate="firing"}`, want)
}

// wants waits until an expression has samples, or none.
func (p *prometheus) wants(what, expression string, want bool) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if got, _ := p.query(expression); len(got) > 0 == want {
			return
		}
	}
	_, all := p.get("/api/v1/alerts")
	p.t.Fatalf("%s: firing is not %t; what fires is %.3000s", what, want, all)
}

// quiet wants nothing to fire but some alerts.
func (p *prometheus) quiet(when string, but ...string) {
	p.t.Helper()
	if got, _ := p.query(`ALERTS{alertstate="firing", alertname!~"` + strings.Join(but, "|") + `"}`); len(got) > 0 {
		_, all := p.get("/api/v1/alerts")
		p.t.Errorf("alerts fire %s: %s", when, all)
	}
}

// TestAlertRules runs the unit tests of the alerts.
func TestAlertRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "--lint=all", rules}, {"test", "rules", "alerts.yaml"}} {
		if out, err := exec.Command(tools+"promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	tested, err := os.ReadFile("alerts.yaml")
	harness.Must(t, err)
	all, err := os.ReadFile(rules)
	harness.Must(t, err)
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(all), -1) {
		if !strings.Contains(string(tested), "alertname: "+m[1]+"\n") {
			t.Errorf("%s has no unit test", m[1])
		}
	}
}

// dashboardQueries returns what the dashboard asks, with its variables filled in.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("../../../deploy/prometheus/dashboard.json")
	harness.Must(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	harness.Must(t, json.Unmarshal(b, &dashboard))
	queries := make(map[string]string)
	variables := strings.NewReplacer("$job", "ndproxyd", "$instance", ".*", "$__rate_interval", "15s")
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries[p.Title+" "+target.RefID] = variables.Replace(target.Expr)
		}
	}
	return queries
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
