// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestProxyState observes answers of the service proxy.
func TestProxyState(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, answers, want string }{
		{"well", "...", "..."},
		{"never was well", "xxxxx", "....."},
		{"a miss", ".x.x.", "....."},
		{"two misses", ".xx.xx.", "......."},
		{"three misses", ".xxxx.", "...xx."},
		{"well again", ".xxx.xx.", "...x...."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var p proxyState
			got := ""
			for _, answer := range tt.answers {
				fault := ""
				if answer == 'x' {
					fault = "away"
				}
				if p.observe(fault) == "" {
					got += "."
				} else {
					got += "x"
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestAskProxy asks proxies of each kind.
func TestAskProxy(t *testing.T) {
	t.Parallel()
	code := func(c int) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c) }))
	}
	well, ill, gone := code(http.StatusOK), code(http.StatusServiceUnavailable), code(http.StatusOK)
	gone.Close()
	t.Cleanup(func() { well.Close(); ill.Close() })
	for name, tt := range map[string]struct {
		url  string
		want string
	}{"well": {well.URL, ""}, "ill": {ill.URL, "says 503"}, "gone": {gone.URL, "refused"}, "no URL": {"::", "scheme"}} {
		got := askProxy(t.Context(), http.DefaultClient, tt.url)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestProxyReload keeps a fault of the service proxy over a reload.
func TestProxyReload(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*config.Config)
		want   string
	}{
		{"the same proxy", func(c *config.Config) { c.Kubernetes.Weight = 2 }, "away"},
		{"another one", func(c *config.Config) { c.Kubernetes.ProxyHealth = "http://[::1]:1/" }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Configure(b.config, new(k8swatch.Client))
			for _, fault := range []string{"", "away", "away", "away"} {
				b.current.proxyAnswered(fault)
			}
			next, k := *b.config, *b.config.Kubernetes
			next.Kubernetes = &k
			tt.change(&next)
			b.Configure(&next, new(k8swatch.Client))
			if got := b.Status().Unfit; got != tt.want {
				t.Errorf("unfit: %q", got)
			}
		})
	}
}

// TestProxyOfLastProcess knows of a service proxy that only the last process has seen.
func TestProxyOfLastProcess(t *testing.T) {
	t.Parallel()
	const url = "http://[::1]:1/"
	for _, tt := range []struct{ name, last, answers, unfit, told string }{
		{"never seen", "", "xxx", "", ""},
		{"seen by the last process", url, "xxx", "away", ""},
		{"another one was", "http://[::1]:2/", "xxx", "", ""},
		{"seen by this process", "", ".", "", url},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.config.Kubernetes.ProxyHealth = url
			b.Configure(b.config, new(k8swatch.Client))
			b.last().handler.Proxy(tt.last)
			for _, answer := range tt.answers {
				b.current.proxyAnswered(map[rune]string{'x': "away"}[answer])
			}
			if got := b.Status().Unfit; got != tt.unfit || b.last().proxy != tt.told {
				t.Errorf("unfit %q, the watcher was told %q", got, b.last().proxy)
			}
		})
	}
}

// TestConnect makes clients, of which none asks a server.
func TestConnect(t *testing.T) {
	t.Parallel()
	wrong := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(wrong, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Config{Kubernetes: &config.Kubernetes{Kubeconfig: wrong}}
	if client, err := Connect(&c, "test"); client != nil || err != nil {
		t.Errorf("rules that need no cluster: %v, %v", client, err)
	}
	c.Rules = []rules.Rule{{Method: rules.Pods}}
	if _, err := Connect(&c, "test"); !errors.Is(err, ErrKubernetes) {
		t.Errorf("a wrong kubeconfig: %v", err)
	}
}

// TestKinds wants the names of service kinds in a configuration to be those of
// package k8swatch.
func TestKinds(t *testing.T) {
	t.Parallel()
	kinds := []k8swatch.ServiceKind{k8swatch.ClusterIP, k8swatch.LoadBalancer, k8swatch.ExternalIP}
	text := "version: 1\nrules: [{prefix: \"2001:db8::/64\", method: services}]\nkubernetes: {services: {kinds: ["
	for _, kind := range kinds {
		text += string(kind) + ","
	}
	c, err := config.Parse("test.yaml", []byte(text+"]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := selectionOf(c.Kubernetes.Services).Kinds; !slices.Equal(got, kinds) {
		t.Errorf("got %v", got)
	}
}

// TestPrefixSources wants the names of sources in a configuration to be those of
// package k8swatch.
func TestPrefixSources(t *testing.T) {
	t.Parallel()
	for _, key := range k8swatch.PrefixSources() {
		c, err := config.Parse("test.yaml", []byte("version: 1\nkubernetes: {prefix_source: "+key+"}\n"))
		if err != nil || c.Kubernetes.PrefixSource != key {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestReminders reports the same things again and again.
func TestReminders(t *testing.T) {
	t.Parallel()
	var r reminders
	now := time.Unix(1_000_000, 0)
	due := func(i int, at time.Duration) bool {
		return r.due(reminder{uplink: uplink, address: service(i)}, now.Add(at))
	}
	for _, tt := range []struct {
		name string
		i    int
		at   time.Duration
		want bool
	}{
		{"first", 0, 0, true}, {"again", 0, time.Second, false}, {"another", 1, time.Second, true}, {"after a minute", 0, time.Minute, true},
	} {
		if got := due(tt.i, tt.at); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
	for i := range 2 * maxReminders {
		due(i, 2*time.Minute)
	}
	if len(r.last) > maxReminders {
		t.Errorf("%d are remembered", len(r.last))
	}
	if !due(3*maxReminders, 4*time.Minute) {
		t.Error("what is remembered is never forgotten")
	}
}

// TestOutbox posts more questions than there is room for.
func TestOutbox(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	for range 3 {
		o.ask(make([]ownership.Ask, maxQuestions-1))
	}
	o.setPresence(presence{own: service(1)}, true)
	o.setPresence(presence{own: service(2)}, true)
	u := new(fakeUplinks)
	changed := 0
	m := o.take()
	m.deliver(u, func() { changed++ })
	if len(u.asked) != maxQuestions || u.presence != service(2) || changed != 1 {
		t.Errorf("%d questions, presence %s, %d changes", len(u.asked), u.presence, changed)
	}
	if m := o.take(); fmt.Sprint(m) != fmt.Sprint(messages{}) {
		t.Errorf("left over: %v", m)
	}
}
