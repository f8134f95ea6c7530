// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/daemon"
	"github.com/ndproxyd/ndproxyd/test/conformance"
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
	d.Wait("all solicitations", func(st daemon.Status) bool { return st.Uplinks[0].Received >= total })
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
	d.WaitState(daemon.Absent)
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
		`ndproxyd_table_updates_total`:                                   1,
		`ndproxyd_conflicts_total{interface="uplink"}`:                   0,
		`ndproxyd_socket_drops_total{interface="uplink"}`:                0,
		`ndproxyd_send_errors_total{interface="uplink"}`:                 0,
	} {
		if got := metric(t, m, series); got != want {
			t.Errorf("%s is %g, want %g", series, got, want)
		}
	}
	for _, name := range []string{"ndproxyd_build_info{", "ndproxyd_update_duration_seconds_count", "ndproxyd_answer_duration_seconds_bucket{", "process_resident_memory_bytes", "ndproxyd_config_last_reload_success_timestamp_seconds"} {
		if !strings.Contains(m, name) {
			t.Errorf("no %s", name)
		}
	}
}

// TestIdle counts how often any thread of an idle daemon wakes up.
func TestIdle(t *testing.T) {
	n := harness.NewNetwork(t)
	d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", harness.Uplink, "--rule", podRule)
	d.WaitReady()
	answers(t, n)
	time.Sleep(3 * time.Second) // the runtime comes to rest, the router's too
	before := wakeUps(t, d.Process.Pid)
	time.Sleep(5 * time.Second)
	// The runtime's own housekeeping is a handful a minute.
	if got := wakeUps(t, d.Process.Pid) - before; got > 5 {
		t.Errorf("%d wake-ups in five idle seconds", got)
	}
}

// wakeUps returns the voluntary context switches of all threads.
func wakeUps(t *testing.T, pid int) int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	harness.Must(t, err)
	sum := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		harness.Must(t, err)
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				v, err := strconv.Atoi(strings.TrimSpace(rest))
				harness.Must(t, err)
				sum += v
			}
		}
	}
	return sum
}

// TestMemory takes ten million solicitations of random targets and sources, and
// looks at the resident memory.
func TestMemory(t *testing.T) {
	n := harness.NewNetwork(t)
	d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", harness.Uplink, "--rule", prefix64.String()+"=static")
	d.WaitReady()
	s, err := load.NewSender(n.Router, harness.RouterPort, load.Options{Prefixes: []netip.Prefix{prefix64}, RandomSource: true})
	harness.Must(t, err)
	defer s.Close()
	var seq uint64
	blast := func(until uint64) {
		for {
			for range 2000 {
				sent, err := s.Send(seq, load.Batch)
				harness.Must(t, err)
				seq += uint64(sent)
			}
			if d.Status().Uplinks[0].Received >= until {
				return
			}
		}
	}
	const warm, all, mib = 500_000, 10_000_000, 1024
	blast(warm)
	before := residentMemory(t, d.Process.Pid)
	blast(all)
	after := residentMemory(t, d.Process.Pid)
	t.Logf("%d KiB after %d solicitations, %d KiB after %d", before, warm, after, all)
	if after > before+2*mib {
		t.Errorf("%d KiB grew to %d KiB", before, after)
	}
	if after > 20*mib {
		t.Errorf("%d KiB are more than 20 MiB", after)
	}
}

// residentMemory returns VmRSS in KiB.
func residentMemory(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	harness.Must(t, err)
	_, rest, ok := strings.Cut(string(b), "VmRSS:")
	if !ok {
		t.Fatal("no VmRSS")
	}
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	harness.Must(t, err)
	return kib
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
		e, err := d.Client.Explain(context.Background(), addr(target))
		harness.Must(t, err)
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
	d.WaitState(daemon.Down)
	e, err := d.Client.Explain(context.Background(), conformance.Pod)
	harness.Must(t, err)
	if got := e.Answers[0].Reason; got != "down" {
		t.Errorf("on a link that is down: %s", got)
	}
}

// command runs a command of the program in the node's namespace, as a user.
func command(t *testing.T, n *harness.Network, out *bytes.Buffer, uid uint32, args ...string) int {
	t.Helper()
	cmd := exec.Command(harness.Public(t, harness.Binary(t)), args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	harness.Must(t, n.Node.Do(cmd.Start))
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
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

// TestEarlySocket hears what nftables or tc would hide from a later one; here
// it has to answer once, and on the uplink alone.
func TestEarlySocket(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Run(t, n.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: uplink, socket: early}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\n"))
	p := harness.OpenPort(t, n.Router, harness.RouterPort)
	f := conformance.Solicitation(conformance.Pod)
	f.Tags = []conformance.Tag{{TPID: 0x8100, VID: 100}}
	p.Send(f.Bytes())
	p.Send(conformance.Solicitation(conformance.Pod).Bytes())
	if got := p.Advertisements(500*time.Millisecond, harness.Never); len(got) != 1 {
		t.Errorf("%d answers, want 1", len(got))
	}
}

// TestStopInFlood asks for the status in the middle of a flood, and ends there:
// the receive loop leaves the rest of the daemon its turn.
func TestStopInFlood(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", prefix64.String()+"=static")
	s, err := load.NewSender(n.Router, harness.RouterPort, load.Options{Prefixes: []netip.Prefix{prefix64}})
	harness.Must(t, err)
	defer s.Close()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for seq := uint64(0); ; seq += load.Batch {
			select {
			case <-stop:
				return
			default:
				_, _ = s.Send(seq, load.Batch)
			}
		}
	}()
	d.Wait("flood", func(st daemon.Status) bool { return st.Uplinks[0].Received > 10_000 })
	d.Signal(syscall.SIGTERM)
	if code := d.Exit(); code != 0 {
		t.Errorf("exit code is %d", code)
	}
	close(stop)
	<-done
}
