// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// rulesFor is a configuration for an uplink that does not exist, so that nothing of
// the tests takes a privilege.
func rulesFor(rs ...rules.Rule) *config.Config {
	return &config.Config{Uplinks: []rules.Uplink{{Interface: "none-such"}}, Rules: rs}
}

func static(prefix string) rules.Rule {
	return rules.Rule{Prefix: netip.MustParsePrefix(prefix), Method: rules.Static}
}

// start returns a daemon that has taken a configuration over, and runs no task yet.
func start(t *testing.T, c *config.Config, o Options) *daemon {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	o.Version = status.Version{Version: "1.2.3"}
	if o.Origin == nil {
		o.Origin = func() string { return "test.yaml" }
	}
	d := build(o, &hostwatch.Watcher{Routes: hostwatch.NewRoutes()}, newConfigVolume(""), "")
	if err := d.takeOver(load{config: c, origin: o.Origin(), begin: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestAbsentUplink asks a daemon whose uplink does not exist.
func TestAbsentUplink(t *testing.T) {
	t.Parallel()
	deny := static("2001:db8::1/128")
	deny.Method = rules.Deny
	d := start(t, rulesFor(static("2001:db8::/64"), deny), Options{})
	s := d.Status(t.Context())
	if s.Ready || s.Rules != 2 || len(s.Uplinks) != 1 || s.Uplinks[0].State != "absent" || s.Config != "test.yaml" {
		t.Errorf("status is %+v", s)
	}
	if !slices.ContainsFunc(s.Waiting, func(w status.Waiting) bool { return w.Task == "uplinks" && strings.Contains(w.For, "none-such") }) {
		t.Errorf("the uplink is not waited for: %+v", s.Waiting)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the uplink does not run, so it has nothing to say of announcements
	for target, want := range map[string]string{"2001:db8::5": "absent", "2001:db8::1": "denied", "2001:db8:1::1": "no_rule", "fe80::1": "target_scope"} {
		e := d.Explain(ctx, netip.MustParseAddr(target))
		if len(e.Answers) != 1 || e.Answers[0].Answered || e.Answers[0].Reason != want || e.Answers[0].Why == "" {
			t.Errorf("%s: %+v, want %s", target, e.Answers, want)
		}
	}
}

// TestIdle takes a daemon without an uplink for ready where the configuration says so,
// once the uplinks were looked at.
func TestIdle(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ setting, complete, want bool }{
		"at the start":              {true, false, false},
		"no uplink":                 {true, true, true},
		"no uplink, and no setting": {false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := rulesFor(static("2001:db8::/64"))
			c.ReadyWithoutUplink = tt.setting
			d := start(t, c, Options{})
			d.reconciler.complete.Store(tt.complete)
			if got := d.idle(); got != tt.want {
				t.Errorf("idle is %t, want %t", got, tt.want)
			}
		})
	}
}

// TestNoIPv6 tells of an uplink in each state whether there is nothing to answer on.
func TestNoIPv6(t *testing.T) {
	t.Parallel()
	tentative := rules.Link{Addresses: []rules.LinkAddress{{Prefix: netip.MustParsePrefix("fe80::1/64")}}}
	tests := []struct {
		state uplink.State
		link  rules.Link
		want  bool
	}{
		{uplink.Absent, rules.Link{}, true},
		{uplink.NoIPv6, rules.Link{}, true},
		{uplink.NoAddress, rules.Link{}, true}, // disable_ipv6
		{uplink.NoAddress, tentative, false},
		{uplink.Down, rules.Link{}, false},
		{uplink.Failed, rules.Link{}, false},
		{uplink.Ready, tentative, false},
	}
	for _, tt := range tests {
		if got := hasNoIPv6(&uplink.Facts{State: tt.state, Link: tt.link}); got != tt.want {
			t.Errorf("%s with %d addresses: %t, want %t", tt.state, len(tt.link.Addresses), got, tt.want)
		}
	}
}

// TestReload tries configurations in turn: a wrong one leaves everything as it was.
func TestReload(t *testing.T) {
	t.Parallel()
	wrong := errors.New("line 3: no such method")
	tests := []struct {
		name   string
		config *config.Config
		err    error // of the loader
		fails  bool
		rules  int
		origin string
	}{
		{"another one", rulesFor(static("2001:db8:1::/64"), static("2001:db8:2::/64")), nil, false, 2, "second.yaml"},
		{"unreadable", nil, wrong, true, 1, "first.yaml"},
		{"two rules for one prefix", rulesFor(static("2001:db8:1::/64"), static("2001:db8:1::/64")), nil, true, 1, "first.yaml"},
		{"a cluster without credentials", &config.Config{
			Rules:      []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.Pods}},
			Kubernetes: &config.Kubernetes{Kubeconfig: "/nonexistent/kubeconfig", Node: "n1"},
		}, nil, true, 1, "first.yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			origin := "first.yaml"
			reload := make(chan os.Signal)
			d := start(t, rulesFor(static("2001:db8::/64")), Options{
				Load: func() (*config.Config, error) { return tt.config, tt.err }, Origin: func() string { return origin }, Reload: reload,
			})
			origin = "second.yaml"
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- d.reconciler.Run(ctx) }()
			d.reloads.reload(ctx)
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			s := d.Status(t.Context())
			if s.Reload.Successful == tt.fails || s.Rules != tt.rules || s.Config != tt.origin {
				t.Errorf("successful %t, %d rules from %s; want %t, %d from %s", s.Reload.Successful, s.Rules, s.Config, !tt.fails, tt.rules, tt.origin)
			}
		})
	}
}

// TestAlive takes the reconciler for dead when it does not go round.
func TestAlive(t *testing.T) {
	t.Parallel()
	d := start(t, rulesFor(static("2001:db8::/64")), Options{})
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := d.Alive(short); err == nil || !strings.Contains(err.Error(), "reconciler") {
		t.Errorf("a reconciler that does not run: %v", err)
	}
}
