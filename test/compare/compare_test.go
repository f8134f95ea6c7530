// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

const (
	// within is how long an answer may take, and a silence is listened to.
	within = 500 * time.Millisecond
	// longest is how long one may take that has to come, on a loaded machine.
	longest = 10 * time.Second
)

// system is a program that answers by an ndppd.conf.
type system struct {
	name string
	// command returns the program and its arguments.
	command func(t *testing.T, conf string) []string
	// background returns those that start it in the background.
	background func(t *testing.T, conf, pidFile string) []string
}

func systems() []system {
	all := []system{{name: "ndproxyd", command: func(t *testing.T, conf string) []string {
		return []string{harness.Binary(t), "run", "--config", conf}
	}, background: func(t *testing.T, conf, pidFile string) []string {
		link := filepath.Join(t.TempDir(), "ndppd")
		harness.Must(t, os.Symlink(harness.Binary(t), link))
		return []string{link, "-c", conf, "-d", "-p", pidFile}
	}}}
	if path := os.Getenv("NDPPD"); path != "" {
		all = append(all, system{name: "ndppd", command: func(_ *testing.T, conf string) []string {
			return []string{path, "-c", conf}
		}, background: func(_ *testing.T, conf, pidFile string) []string {
			return []string{path, "-c", conf, "-d", "-p", pidFile}
		}})
	}
	return all
}

// bed is a system at work on a network of its own.
type bed struct {
	t    *testing.T
	net  *harness.Network
	pods *lab.Namespace // behind the node
	d    *harness.Daemon
	port *harness.Port
	ours bool
	wait time.Duration // for an answer
	pid  string        // the file of the process ID, if it was started in the background
}

// configs are the configurations of the rows.
const (
	static = "proxy uplink {\n router yes\n rule 2001:db8:1:0:f::/80 {\n  static\n }\n}\n"
	auto   = "proxy uplink {\n rule 2001:db8:1:0:f::/80 {\n  auto\n }\n}\n"
	iface  = "proxy uplink {\n rule 2001:db8:1:0:f::/80 {\n  iface pods\n }\n}\n"
	// wide is the rule that most people write.
	wide = "proxy uplink {\n rule 2001:db8:1::/64 {\n  static\n }\n}\n"
	// sloppy has what ndppd ignores: semicolons, an option one level too deep, an empty
	// section.
	sloppy = "proxy uplink {\n rule 2001:db8:1:0:f::/80 {\n  static;\n  router no\n };\n};\nproxy pods {}\n"
)

// newBed starts a system. The pods' device has a route for the whole rule.
func newBed(t *testing.T, s system, r row) *bed {
	t.Helper()
	b := &bed{t: t, net: harness.NewNetwork(t), pods: harness.Namespace(t), ours: s.name == "ndproxyd", wait: within}
	if b.ours && r.want == "yes" {
		b.wait = longest
	}
	far := b.pods
	harness.Must(t, far.Veth("eth0", conformance.MAC{2, 0, 0, 0, 2, 1}, b.net.Node, "pods", conformance.MAC{2, 0, 0, 0, 2, 2}))
	harness.Must(t, far.Address("eth0", conformance.Pod.String()+"/80"))
	harness.Must(t, far.Address("eth0", second.String()+"/80"))
	harness.Must(t, b.net.Node.Route(conformance.PodPrefix.String(), "", "pods"))
	if r.prepare != nil {
		r.prepare(t, b)
	}
	path := filepath.Join(t.TempDir(), "ndppd.conf")
	harness.Must(t, os.WriteFile(path, []byte(r.conf), 0o600))
	command := s.command(t, path)
	if r.background {
		b.pid = filepath.Join(t.TempDir(), "ndppd.pid")
		command = s.background(t, path, b.pid)
	}
	b.d = harness.StartProgram(t, b.net.Node, command[0], command[1:]...)
	if b.ours {
		b.d.WaitReady()
	} else {
		time.Sleep(time.Second)
	}
	b.port = harness.OpenPort(t, b.net.Router, harness.RouterPort)
	return b
}

// second is another pod.
var second = netip.MustParseAddr("2001:db8:1:0:f::6")

// answer sends a frame and returns the advertisement for its target, nil for
// none.
func (b *bed) answer(f conformance.Frame) []byte {
	b.t.Helper()
	return b.answerWithin(f, b.wait)
}

func (b *bed) answerWithin(f conformance.Frame, within time.Duration) []byte {
	b.t.Helper()
	isFor := func(got []byte) bool { return [16]byte(got[62:78]) == f.Target.As16() }
	b.port.Advertisements(time.Millisecond, harness.Never) // what came late
	b.port.Send(f.Bytes())
	got := b.port.Advertisements(within, isFor)
	if n := len(got); n > 0 && isFor(got[n-1]) {
		return got[n-1]
	}
	return nil
}

// row is one line of the table.
type row struct {
	name string
	conf string
	// do returns what is seen; want is what ndproxyd has to show, or, where
	// that is a figure, "" and the row checks it itself.
	do   func(t *testing.T, b *bed) string
	want string
	// prepare, if not nil, adds to the network before the system starts.
	prepare func(t *testing.T, b *bed)
	// background has the system start in the background.
	background bool
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// TestCompare prints the table.
func TestCompare(t *testing.T) {
	all, lines := systems(), rows()
	cells := make([][]string, len(lines))
	t.Run("rows", func(t *testing.T) {
		for i, r := range lines {
			cells[i] = make([]string, len(all))
			for j, s := range all {
				t.Run(r.name+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					cells[i][j] = r.do(t, newBed(t, s, r))
					if s.name == "ndproxyd" && r.want != "" && cells[i][j] != r.want {
						t.Errorf("got %q, want %q", cells[i][j], r.want)
					}
				})
			}
		}
	})
	var out strings.Builder
	out.WriteString("\n| |")
	for _, s := range all {
		out.WriteString(" " + s.name + " |")
	}
	out.WriteString(" wanted |\n|---|" + strings.Repeat("---|", len(all)+1) + "\n")
	for i, r := range lines {
		fmt.Fprintf(&out, "| %s | %s | %s |\n", r.name, strings.Join(cells[i], " | "), r.want)
	}
	t.Log(out.String())
}
