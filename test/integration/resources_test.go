// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/load"
)

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

// TestWakeUps counts them while solicitations come one by one: one for each, and
// no thread of the runtime beside it.
func TestWakeUps(t *testing.T) {
	n := harness.NewNetwork(t)
	d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", harness.Uplink, "--rule", podRule)
	d.WaitReady()
	p := harness.OpenPort(t, n.Router, harness.RouterPort)
	time.Sleep(2 * time.Second) // the runtime comes to rest
	const asked = 1000
	before := wakeUps(t, d.Process.Pid)
	for range asked {
		p.Send(conformance.Solicitation(conformance.Pod).Bytes())
		time.Sleep(2 * time.Millisecond)
	}
	if got := wakeUps(t, d.Process.Pid) - before; got > asked*3/2 {
		t.Errorf("%d wake-ups for %d solicitations", got, asked)
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

// TestMemory takes 1.5 million solicitations of random targets and sources, and looks at
// the memory. "make test-full" sends ten million.
func TestMemory(t *testing.T) {
	n := harness.NewNetwork(t)
	d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", harness.Uplink, "--rule", prefix64.String()+"=static")
	d.WaitReady()
	s, err := load.NewSender(n.Router, harness.RouterPort, load.Options{Prefixes: []netip.Prefix{prefix64}, RandomSource: true})
	harness.Must(t, err)
	defer s.Close()
	var seq uint64
	// What the socket's ring has no room for is lost, and only heats the machine: the
	// router sees by the answers how far the daemon is.
	const window = 8192
	base := received(t, n.Router, harness.RouterPort)
	blast := func(until uint64) {
		for got := uint64(0); got < until; got = d.Status().Uplinks[0].Received {
			for next := seq + min(500_000, until-got); seq < next; {
				for range window / load.Batch / 2 {
					sent, err := s.Send(seq, load.Batch)
					harness.Must(t, err)
					seq += uint64(sent)
				}
				for end := time.Now().Add(100 * time.Millisecond); received(t, n.Router, harness.RouterPort)-base+window < int(seq); time.Sleep(time.Millisecond) {
					if time.Now().After(end) { // some are lost
						base = received(t, n.Router, harness.RouterPort) - int(seq)
					}
				}
			}
		}
	}
	const warm, mib = 500_000, 1024
	blast(warm)
	before := memory(t, d.Process.Pid)
	blast(remembered)
	after := memory(t, d.Process.Pid)
	t.Logf("%d KiB after %d solicitations, %d KiB after %d", before, warm, after, remembered)
	if after > before+2*mib {
		t.Errorf("%d KiB grew to %d KiB", before, after)
	}
	if after > 8*mib {
		t.Errorf("%d KiB are more than 8 MiB", after)
	}
}

// memory returns what the daemon has in memory of its own, in KiB. The pages of its
// program are the page cache's.
func memory(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	harness.Must(t, err)
	_, rest, ok := strings.Cut(string(b), "RssAnon:")
	if !ok {
		t.Fatal("no RssAnon")
	}
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	harness.Must(t, err)
	return kib
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
	d.Wait("flood", func(st status.Status) bool { return st.Uplinks[0].Received > 10_000 })
	d.Signal(syscall.SIGTERM)
	if code := d.Exit(); code != 0 {
		t.Errorf("exit code is %d", code)
	}
	close(stop)
	<-done
}
