// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func TestNewLogger(t *testing.T) {
	t.Parallel()
	journal := map[string]string{"JOURNAL_STREAM": "8:1"}
	tests := []struct {
		name, format string
		vars         map[string]string
		want         string
		fails        bool
	}{
		{"JSON to a file", LogAuto, nil, `"msg":"hello"`, false},
		{"text to the journal", LogAuto, journal, `level=INFO msg=hello`, false},
		{"JSON to the journal on demand", LogJSON, journal, `"msg":"hello"`, false},
		{"text on demand", LogText, nil, "time=", false},
		{"unknown", "xml", nil, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			log, err := NewLogger(&b, tt.format, slog.LevelInfo, func(n string) string { return tt.vars[n] })
			if (err != nil) != tt.fails {
				t.Fatal(err)
			}
			if tt.fails {
				return
			}
			log.Info("hello")
			log.Debug("not shown")
			if got := b.String(); !strings.Contains(got, tt.want) || strings.Contains(got, "not shown") {
				t.Errorf("wrote %q, want %q", got, tt.want)
			}
			if tt.format == LogAuto && tt.vars != nil && strings.Contains(b.String(), "time=") {
				t.Errorf("the journal stamps lines itself: %q", &b)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	var b backoff
	var got []time.Duration
	for range 7 {
		got = append(got, b.Next())
	}
	ms := time.Millisecond
	if want := []time.Duration{250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 5000 * ms, 5000 * ms}; !slices.Equal(got, want) {
		t.Errorf("waits are %s", got)
	}
	b.Reset()
	if b.Next() != 250*ms {
		t.Error("a reset does not begin anew")
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	addresses := []rules.LinkAddress{{Prefix: netip.MustParsePrefix("fe80::1/64"), Usable: true}}
	tests := []struct {
		link rules.Link
		want State
		why  string
	}{
		{rules.Link{}, Absent, "does not exist"},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, IPv6: true, Up: true, Addresses: addresses}, Ready, ""},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, IPv6: true, Up: true}, NoAddress, "no usable IPv6 address"},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, IPv6: true, Addresses: addresses}, Down, "the link is down"},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, Up: true}, NoIPv6, "has no IPv6"},
		{rules.Link{Name: "wg0", Index: 2}, NotEthernet, "not Ethernet"},
		{rules.Link{Name: "eth0", Index: 2, Ethernet: true, Master: "br0"}, Port, "eth0 is a port of br0 and hears nothing by itself: use br0"},
	}
	for _, tt := range tests {
		if got, why := judge(tt.link, ndp.NewInterface(tt.link, rules.Uplink{}), rules.SourceAuto); got != tt.want || !strings.Contains(why, tt.why) {
			t.Errorf("%+v: %s %q", tt.link, got, why)
		}
	}
}

// testDaemon is a daemon with an uplink that does not exist.
func testDaemon(t *testing.T) *daemon {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	d := &daemon{
		options: Options{Origin: "test.yaml", Version: Version{Version: "1.2.3"}, Log: log},
		log:     log, started: time.Now(), supervisor: newSupervisor(log, new(rules.Store), hostwatch.NewRoutes()), metrics: newMetrics(),
	}
	t.Cleanup(d.supervisor.close)
	if err := d.apply(&config.Config{
		Uplinks: []rules.Uplink{{Interface: "none-such"}},
		Rules: []rules.Rule{
			{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Static},
			{Prefix: netip.MustParsePrefix("2001:db8::1/128"), Method: rules.Deny},
		},
	}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAbsentUplink(t *testing.T) {
	t.Parallel()
	d := testDaemon(t)
	s := d.status()
	if s.Ready || s.Rules != 2 || len(s.Uplinks) != 1 || s.Uplinks[0].State != "absent" {
		t.Errorf("status is %+v", s)
	}
	for target, want := range map[string]string{"2001:db8::5": "absent", "2001:db8::1": "denied", "2001:db8:1::1": "no_rule"} {
		e := d.explain(netip.MustParseAddr(target))
		if got := e.Answers[0]; got.Answered || got.Reason != want || got.Why == "" {
			t.Errorf("%s: %+v, want %s", target, got, want)
		}
	}
	d.supervisor.handle(hostwatch.Event{}) // nothing to find still
	w := httptest.NewRecorder()
	d.metricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "none-such absent") {
		t.Errorf("/readyz is %d %s", w.Code, w.Body)
	}
}

// TestMetricsFromTheStart wants every reason and kind in the first scrape, and
// every metric in the documentation.
func TestMetricsFromTheStart(t *testing.T) {
	t.Parallel()
	d := testDaemon(t)
	w := httptest.NewRecorder()
	d.metricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	scrape := w.Body.String()
	for _, r := range ndp.Reasons() {
		if r != ndp.Answered && !strings.Contains(scrape, `reason="`+r.String()+`"`) {
			t.Errorf("no series for reason %s", r)
		}
	}
	for _, k := range ndp.Kinds() {
		if !strings.Contains(scrape, `ndproxyd_solicitations_answered_total{interface="none-such",kind="`+k.String()+`"} 0`) {
			t.Errorf("no series for kind %s", k)
		}
	}
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(scrape) {
		name, ok := strings.CutPrefix(line, "# TYPE ndproxyd_")
		if !ok {
			continue
		}
		name = "ndproxyd_" + strings.Fields(name)[0]
		if !strings.Contains(string(doc), "| `"+name+"` |") {
			t.Errorf("%s has no row in docs/metrics.md", name)
		}
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	d := testDaemon(t)
	path := filepath.Join(t.TempDir(), "sock")
	// What a daemon leaves behind that was killed.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	d.options.Control = path
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.serveControl(ctx) }()
	client := NewClient(path)
	var s Status
	for range 500 {
		if s, err = client.Status(ctx); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil || s.Version.Version != "1.2.3" {
		t.Errorf("got %+v, %v", s, err)
	}
	e, err := client.Explain(ctx, netip.MustParseAddr("2001:db8::1"))
	if err != nil || e.Answers[0].Reason != "denied" {
		t.Errorf("got %+v, %v", e, err)
	}
	var text bytes.Buffer
	if err := errors.Join(s.WriteText(&text), e.WriteText(&text)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1.2.3", "test.yaml, 2 rules", "absent: the interface does not exist yet", "is not answered", "rules[1]: 2001:db8::1/128 deny"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if err := d.claim(path); err == nil {
		t.Error("a socket that is served was claimed")
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.claim(file); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("claiming a file: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestNotifyEnds lets the watcher go that waits for a loop that has ended.
func TestNotifyEnds(t *testing.T) {
	t.Parallel()
	s := newSupervisor(slog.New(slog.NewTextHandler(io.Discard, nil)), new(rules.Store), hostwatch.NewRoutes())
	s.stop()
	for range 2 * eventQueue {
		s.notify(hostwatch.Event{Name: "eth0"})
	}
}

// TestTrusted turns away who is not known.
func TestTrusted(t *testing.T) {
	t.Parallel()
	h := trusted(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, tt := range []struct {
		name string
		uid  any
		want int
	}{
		{"root", uint32(0), http.StatusOK},
		{"own user", uint32(os.Getuid()), http.StatusOK},
		{"stranger", uint32(os.Getuid() + 4711), http.StatusForbidden},
		{"nobody", nil, http.StatusForbidden},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, tt.uid)))
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, w.Code, tt.want)
		}
	}
}
