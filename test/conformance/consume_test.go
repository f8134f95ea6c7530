// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"fmt"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// unreachable is the ICMPv6 type of errors, RFC 4443 §3.1.
const unreachable = 1

// probe is a unicast solicitation from a link-local address, for which the kernel's IPv6
// sends an error unless something keeps it from there.
type probe struct {
	name, target string
	change       func(*conformance.Frame)
	want         ndp.Reason
	never        bool // the kernel sends no error in any case
}

func probes() []probe {
	as := func(*conformance.Frame) {}
	return []probe{
		// What the program has answered goes no further.
		{name: "answered at once", target: "2001:db8:1:0:f::5", change: as, never: true},
		{name: "too long for the program", target: "2001:db8:1:0:f::5", change: func(f *conformance.Frame) { f.Options = conformance.Long(f.Target).Options }},
		{name: "asked first, and there", target: "2001:db8:1:0:d::5", change: as},
		{name: "asked first, and not there", target: "2001:db8:1:0:d::6", change: as, want: ndp.NoNeighbor},
		{name: "unanswered", target: "2001:db8:1:0:c::5", change: as, want: ndp.Silent(rules.NotListed)},
		{name: "code 1", target: "2001:db8:1:0:f::5", change: func(f *conformance.Frame) { f.Code = 1 }, want: ndp.Code},
		{name: "bad checksum", target: "2001:db8:1:0:f::5", change: func(f *conformance.Frame) { f.Corrupt = true }, want: ndp.Checksum},
		{name: "the node's own address", target: conformance.NodeAddr.String(), change: as, want: ndp.OwnTarget, never: true},
	}
}

// TestConsume probes by unicast: where the settings ask for it, the kernel sends no error
// beside what the program and the packet socket do, which count each solicitation once.
// Without the setting it does send errors, or this test would show nothing.
func TestConsume(t *testing.T) {
	for _, mode := range []rules.FastPathMode{rules.FastPathTC, rules.FastPathXDPGeneric} {
		for _, consume := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %t", mode, consume), func(t *testing.T) {
				t.Parallel()
				testConsume(t, mode, consume)
			})
		}
	}
}

func testConsume(t *testing.T, mode rules.FastPathMode, consume bool) {
	net := harness.NewNetwork(t)
	pods := harness.Namespace(t)
	harness.Must(t, net.Node.Veth("pods", conformance.MAC{2, 0, 0, 0, 1, 1}, pods, "eth0", conformance.MAC{2, 0, 0, 0, 1, 2}))
	harness.Must(t, pods.Address("eth0", "2001:db8:1:0:d::5/80"))
	for _, prefix := range []string{"2001:db8:1:0:f::/80", "2001:db8:1:0:d::/80", "2001:db8:1:0:c::/80"} {
		harness.Must(t, net.Node.Route(prefix, "", "pods"))
	}
	d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, fmt.Sprintf(`version: 1
uplinks: [{interface: uplink, fast_path: %s, consume_unicast: %t}]
rules:
  - {prefix: "2001:db8:1:0:f::/80", method: static}
  - {prefix: "2001:db8:1:0:d::/80", method: probe, timeout: 2s, retries: 0}
  - {prefix: "2001:db8:1:0:c::/80", method: file, targets: /nonexistent/targets}
  - {prefix: "%s/128", method: static}
`, mode, consume, conformance.NodeAddr)))
	if p := d.Status().Uplinks[0].FastPath; p.Way != mode.String() {
		t.Fatalf("%s answers: %s", p.Way, p.Why)
	}
	port := harness.OpenPort(t, net.Router, harness.RouterPort)
	for _, c := range probes() {
		t.Run(c.name, func(t *testing.T) {
			before := settled(d)
			f := conformance.Solicitation(addr(c.target))
			f.EtherDst, f.Dest, f.Source = conformance.NodeMAC, f.Target, conformance.RouterLinkLocal
			c.change(&f)
			port.Send(f.Bytes())
			if consume || c.never {
				if got := port.Messages(unreachable, harness.Quiet); len(got) > 0 {
					t.Errorf("the kernel sends % x", got)
				}
			} else {
				harness.Eventually(t, "error of the kernel", func() bool { return len(port.Messages(unreachable, harness.Quiet)) > 0 })
			}
			var after status.Uplink
			d.Wait("account of the solicitation", func(s status.Status) bool {
				after = s.Uplinks[0]
				return after.Received > before.Received
			})
			after = settled(d)
			answered, ignored := after.Answered-before.Answered, after.Ignored[c.want.String()]-before.Ignored[c.want.String()]
			if received := after.Received - before.Received; received != 1 {
				t.Errorf("counted %d times", received)
			}
			if (answered == 1) != (c.want == ndp.Answered) || (ignored == 1) != (c.want != ndp.Answered) {
				t.Errorf("counted %d answered and %d ignored as %s", answered, ignored, c.want)
			}
		})
	}
}
