// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// fetch gets a page from a handler.
func fetch(h http.Handler, page string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, page, nil))
	return w.Code, w.Body.String()
}

// TestPages looks at what each page shows.
func TestPages(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	s := newServer(d)
	h := s.metricsPages(newHealth(d))
	for page, want := range map[string]string{
		"/": "rules from &lt;file&gt;", "/healthz": "ok\n", "/readyz": "eth0 ready",
		"/metrics": "ndproxyd_interface_ready{interface=\"eth0\"} 1",
	} {
		if code, body := fetch(h, page); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s is %d %s", page, code, body)
		}
	}
	for page, want := range map[string]int{"/nothing": http.StatusNotFound, "/healthz": http.StatusServiceUnavailable} {
		d.dead = errors.New("the loop of eth0 hangs")
		if code, _ := fetch(h, page); code != want {
			t.Errorf("%s is %d, want %d", page, code, want)
		}
	}
}

// TestReadyPage says what readiness waits for.
func TestReadyPage(t *testing.T) {
	t.Parallel()
	down := &uplink.Facts{Config: rules.Uplink{Interface: "eth1"}, State: uplink.Down, Why: "the link is down"}
	for name, c := range map[string]struct {
		change func(*fakeDaemon)
		code   int
		words  string
	}{
		"ready":              {func(*fakeDaemon) {}, 200, "eth0 ready"},
		"one of two uplinks": {func(d *fakeDaemon) { d.uplinks = append(d.uplinks, down) }, 200, "eth1 down the link is down"},
		"no uplink":          {func(d *fakeDaemon) { d.uplinks = []*uplink.Facts{down} }, 503, "eth1 down"},
		"nothing to answer on": {func(d *fakeDaemon) {
			d.uplinks, d.idle = []*uplink.Facts{{Config: rules.Uplink{Interface: "eth1"}, State: uplink.NoIPv6, Why: "no IPv6"}}, true
		}, 200, "eth1 no_ipv6"},
		"no uplink, and another daemon takes over": {func(d *fakeDaemon) { d.uplinks, d.replaced = []*uplink.Facts{down}, true }, 200, "eth1 down"},
		"nothing to answer on, and the cluster": {func(d *fakeDaemon) {
			d.uplinks, d.idle, d.waits = nil, true, []string{"kubernetes waits for services"}
		}, 503, "kubernetes waits for services"},
		"no table":    {func(d *fakeDaemon) { d.table = nil }, 503, "eth0 ready"},
		"the cluster": {func(d *fakeDaemon) { d.waits = []string{"kubernetes waits for services"} }, 503, "kubernetes waits for services"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t)
			c.change(d)
			if code, body := fetch(newHealth(d).pages(), "/readyz"); code != c.code || !strings.Contains(body, c.words) {
				t.Errorf("it is %d %q, want %d %q", code, body, c.code, c.words)
			}
		})
	}
}

// TestStuckDaemon asks a daemon that never answers: each page ends in time, and
// what hangs does not add up.
func TestStuckDaemon(t *testing.T) {
	t.Parallel()
	for page, within := range map[string]time.Duration{"/healthz": aliveTimeout, "/metrics": scrapeTimeout, "/": scrapeTimeout} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t)
			synctest.Test(t, func(t *testing.T) {
				d.stuck = make(chan struct{})
				h := newServer(d).metricsPages(newHealth(d))
				for i := range 50 {
					begin := time.Now()
					if code, body := fetch(h, page); code != http.StatusServiceUnavailable || time.Since(begin) > within {
						t.Fatalf("request %d is %d %q after %s", i, code, body, time.Since(begin))
					}
				}
				if n := int(d.asked.Load()); n > maxHealth.ofClient {
					t.Errorf("the daemon was asked %d times", n)
				}
				if code, _ := fetch(h, "/readyz"); code != http.StatusOK {
					t.Errorf("beside it, readiness is %d", code)
				}
				close(d.stuck)
			})
		})
	}
}

// TestMetrics gathers every metric that is documented.
func TestMetrics(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.uplinks[0].Counters.Answered[ndp.Unicast].Store(2)
	d.uplinks[0].Counters.Answered[ndp.Multicast].Store(3)
	d.uplinks[0].Counters.Answered[ndp.Presence].Store(7)
	d.uplinks[0].Counters.ByProgram[ndp.Multicast].Store(2)
	d.uplinks[0].Counters.RecordsLost.Store(1)
	d.uplinks[0].Path = ndp.Path{Way: ndp.WayTC, Hook: "tcx", Since: time.Unix(1, 0), Lines: 9, Inherited: 4}
	d.cluster = &status.Cluster{
		Sources:      []status.Source{{Source: "pods", Synced: true, Lists: 1}, {Source: "gone", Missing: true}},
		PrefixSource: "podCIDRs", Announcers: 3,
	}
	s := newServer(d)
	s.options.Figures.Reloaded(time.Unix(1700000000, 0), time.Millisecond)
	code, body := fetch(s.scrapes(), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("it is %d %s", code, body)
	}
	for _, m := range Metrics() {
		if !strings.Contains(body, "# HELP "+m.Name+" ") {
			t.Errorf("no %s", m.Name)
		}
	}
	for _, want := range []string{
		`ndproxyd_advertisements_sent_total{interface="eth0",kind="solicited"} 5`,
		`ndproxyd_advertisements_sent_total{interface="eth0",kind="presence"} 7`,
		`ndproxyd_solicitations_answered_total{interface="eth0",kind="presence"} 7`,
		`ndproxyd_solicitations_answered_total{interface="eth0",kind="multicast"} 3`,
		`ndproxyd_fast_path_answers_total{interface="eth0",kind="multicast"} 2`,
		`ndproxyd_fast_path_answers_total{interface="eth0",kind="unicast"} 0`,
		`ndproxyd_fast_path_info{hook="tcx",interface="eth0",way="tc"} 1`,
		`ndproxyd_fast_path_lines{interface="eth0"} 9`,
		`ndproxyd_fast_path_inherited{interface="eth0"} 4`,
		`ndproxyd_fast_path_records_lost_total{interface="eth0"} 1`,
		`ndproxyd_misconfiguration{interface="eth0",reason="accept_ra"} 1`,
		`ndproxyd_misconfiguration{interface="eth0",reason="forwarding_off"} 0`,
		`ndproxyd_multicast_groups{interface="eth0",mode="join"} 2`,
		`ndproxyd_table_entries{method="static",source="configuration"} 1`,
		`ndproxyd_table_updates_total 3`,
		`ndproxyd_config_last_reload_success_timestamp_seconds 1.7e+09`,
		`ndproxyd_kubernetes_source_synced{source="pods"} 1`,
		`ndproxyd_kubernetes_last_event_timestamp_seconds{source="pods"} 0`,
		`ndproxyd_announcers 3`,
		`ndproxyd_update_duration_seconds_count 1`,
		`ndproxyd_build_info{goversion="go1",revision="abc",version="v1"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(body, `source="gone"`) {
		t.Error("an API that the server lacks has metrics")
	}
	d.uplinks[0].Path = ndp.Path{}
	if _, body := fetch(s.scrapes(), "/metrics"); strings.Contains(body, "ndproxyd_fast_path_info{") || !strings.Contains(body, `ndproxyd_fast_path_lines{interface="eth0"} 0`) {
		t.Error("an uplink on which nothing answers shows a way")
	}
	s.options.Figures.ReloadFailed()
	if _, body := fetch(s.scrapes(), "/metrics"); !strings.Contains(body, "ndproxyd_config_last_reload_successful 0") {
		t.Error("a failed reload is not told")
	}
}

// TestShared runs something once for all who ask meanwhile.
func TestShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := shared(func() (int32, error) {
			time.Sleep(time.Second)
			return runs.Add(1), nil
		})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if n, err := f(); n != 1 || err != nil {
					t.Errorf("got %d, %v", n, err)
				}
			})
		}
		wg.Wait()
		if n, _ := f(); n != 2 {
			t.Errorf("the next one is of run %d", n)
		}
	})
}
