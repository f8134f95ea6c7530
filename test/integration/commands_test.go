// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestPages looks at what the endpoint shows.
func TestPages(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule, "--rule", "2001:db8:1:0:f::dead=deny")
	answers(t, n)
	for path, want := range map[string]string{"/": "<h1>ndproxyd", "/healthz": "ok", "/readyz": "uplink ready"} {
		if code, body := d.Get(path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s is %d %q", path, code, body)
		}
	}
	if code, _ := d.Get("/nothing"); code != 404 {
		t.Errorf("/nothing is %d", code)
	}
	_, m := d.Get("/metrics")
	for series, want := range map[string]float64{
		`ndproxyd_table_entries{method="static",source="configuration"}`: 1,
		`ndproxyd_table_entries{method="deny",source="configuration"}`:   1,
		`ndproxyd_multicast_groups{interface="uplink",mode="allmulti"}`:  1,
		`ndproxyd_multicast_groups{interface="uplink",mode="join"}`:      0,
		`ndproxyd_config_last_reload_successful`:                         1,
		`ndproxyd_conflicts_total{interface="uplink"}`:                   0,
		`ndproxyd_socket_drops_total{interface="uplink"}`:                0,
		`ndproxyd_send_errors_total{interface="uplink"}`:                 0,
	} {
		if got := metric(t, m, series); got != want {
			t.Errorf("%s is %g, want %g", series, got, want)
		}
	}
	// One for the rules, and one for the uplink's on-link prefixes if they come later.
	if got := metric(t, m, "ndproxyd_table_updates_total"); got != 1 && got != 2 {
		t.Errorf("%g tables were published", got)
	}
	for _, name := range []string{"ndproxyd_build_info{", "ndproxyd_update_duration_seconds_count", "ndproxyd_answer_duration_seconds_bucket{", "process_resident_memory_bytes", "ndproxyd_config_last_reload_success_timestamp_seconds"} {
		if !strings.Contains(m, name) {
			t.Errorf("no %s", name)
		}
	}
}

// TestExplain asks over the control socket, and from a user it does not serve.
func TestExplain(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule, "--rule", "2001:db8:1:0:f::dead=deny", "--rule", conformance.NodeAddr.String()+"=static")
	for target, want := range map[string]string{
		"2001:db8:1:0:f::5": "answered", "2001:db8:1:0:f::dead": "denied", "2001:db8:ffff::1": "no_rule",
		conformance.NodeAddr.String(): "own_target", "fe80::1": "target_scope",
	} {
		e := d.Explain(addr(target))
		if got := e.Answers[0].Reason; got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	var out bytes.Buffer
	code := command(t, n, &out, 0, "explain", "2001:db8:1:0:f::5")
	if code != 0 || !strings.Contains(out.String(), "rules[0]: 2001:db8:1:0:f::/80 static") {
		t.Errorf("explain ends with %d: %s", code, &out)
	}
	out.Reset()
	if code := command(t, n, &out, 0, "status", "--output", "json"); code != 0 || !strings.Contains(out.String(), `"state": "ready"`) {
		t.Errorf("status ends with %d: %s", code, &out)
	}
	out.Reset()
	if code := command(t, n, &out, 12345, "status"); code != 1 || !strings.Contains(out.String(), "root and to its own user only") {
		t.Errorf("status of a stranger ends with %d: %s", code, &out)
	}
	harness.Must(t, n.Node.Down(harness.Uplink))
	d.WaitState(uplink.Down)
	e := d.Explain(conformance.Pod)
	if got := e.Answers[0].Reason; got != "down" {
		t.Errorf("on a link that is down: %s", got)
	}
}

// command runs a command of the program in the node's namespace, as a user. One that fails
// while the machine stands still is run again: the daemon gives a client two seconds.
func command(t *testing.T, n *harness.Network, out *bytes.Buffer, uid uint32, args ...string) (code int) {
	t.Helper()
	program, before := harness.Public(t, harness.Binary(t)), out.Len()
	_ = harness.Undisturbed(func() error {
		out.Truncate(before)
		cmd := exec.Command(program, args...)
		cmd.Stdout, cmd.Stderr = out, out
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		harness.Must(t, n.Node.Do(cmd.Start))
		err := cmd.Wait()
		code = cmd.ProcessState.ExitCode()
		return err
	})
	return code
}

// TestPrivilege ends with 3 and names the capability.
func TestPrivilege(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	for _, args := range [][]string{{"run", "--interface", harness.Uplink, "--rule", podRule}, {"demo"}} {
		var out bytes.Buffer
		if code := command(t, n, &out, 65534, args...); code != 3 || !strings.Contains(out.String(), "CAP_") {
			t.Errorf("%s ends with %d: %s", args[0], code, &out)
		}
	}
}

// TestDemo plays the demonstration.
func TestDemo(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(harness.Binary(t), "demo").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"no reply within 1s", "reply 3 after", "02:00:00:00:00:02 REACHABLE", "is answered", "1 answered"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}
