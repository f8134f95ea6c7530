// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/load"
)

// TestReload reloads under load: a target of both rule sets is answered all of
// the time, and the socket stays.
func TestReload(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	const head = "version: 1\nuplinks: [{interface: uplink}]\nrules:\n"
	files := []string{
		head + "  - {prefix: '" + prefix64.String() + "', method: static}\n",
		head + "  - {prefix: '" + prefix64.String() + "', method: static, dad: ignore}\n  - {prefix: '2001:db8:2::/64', method: static}\n",
	}
	path := harness.WriteConfig(t, files[0])
	d := harness.Run(t, n.Node, "--config", path)
	s, err := load.NewSender(n.Router, harness.RouterPort, load.Options{Prefixes: []netip.Prefix{prefix64}})
	harness.Must(t, err)
	defer s.Close()
	stop, sent := make(chan struct{}), make(chan uint64)
	go func() {
		var seq uint64
		for {
			select {
			case <-stop:
				sent <- seq
				return
			default:
				if _, err := s.Send(seq, 1); err != nil {
					t.Error(err)
				}
				seq++
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for i := range 100 {
		harness.Rewrite(t, path, files[i%2])
		d.Reload()
	}
	close(stop)
	total := <-sent
	d.Wait("all solicitations", func(st status.Status) bool { return st.Uplinks[0].Received >= total })
	harness.Eventually(t, "all answers", func() bool { return d.Status().Uplinks[0].Answered == total })
	if got := strings.Count(d.Log(), "uplink ready"); got != 1 {
		t.Errorf("the uplink became ready %d times: a reload closed its socket", got)
	}
}

// TestWrongReload keeps the old rules, says so, and recovers.
func TestWrongReload(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	const head = "version: 1\nuplinks: [{interface: uplink}]\n"
	right := head + "rules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\n"
	path := harness.WriteConfig(t, right)
	d := harness.Run(t, n.Node, "--config", path)
	const series = "ndproxyd_config_last_reload_successful"
	for _, wrong := range []string{head + "rules: [{prefix: nonsense, method: static}]\n", "", "\x00"} {
		harness.Rewrite(t, path, wrong)
		d.Reload()
		answers(t, n)
		if _, m := d.Get("/metrics"); metric(t, m, series) != 0 {
			t.Errorf("after %q the last reload counts as successful", wrong)
		}
	}
	if !strings.Contains(d.Log(), path+":3:18: rules[0].prefix") {
		t.Error("the log does not name the place")
	}
	harness.Must(t, os.Remove(path))
	d.Reload()
	answers(t, n)
	harness.Rewrite(t, path, right)
	d.Reload()
	if _, m := d.Get("/metrics"); metric(t, m, series) != 1 {
		t.Error("the right file does not count")
	}
}

// TestReloadUplinks adds and removes uplinks, and moves the metrics endpoint.
func TestReloadUplinks(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	path := harness.WriteConfig(t, "version: 1\nuplinks: [{interface: other}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\nmetrics: {listen: ''}\n")
	d := harness.Start(t, n.Node, "--config", path)
	d.WaitState(uplink.Absent)
	harness.Rewrite(t, path, "version: 1\nuplinks: [{interface: uplink, membership: join, source: target}]\nrules: [{prefix: '2001:db8:1:0:f::5', method: static}]\n")
	d.Reload()
	d.WaitReady()
	answers(t, n)
	u := d.Status().Uplinks
	if len(u) != 1 || u[0].Source != "target" || u[0].Membership.Mode != "join" || u[0].Membership.Groups != 1 {
		t.Errorf("status is %+v", u)
	}
	harness.Eventually(t, "metrics", func() bool { return strings.Contains(d.Log(), "serving metrics") })
	d.Get("/metrics")
}
