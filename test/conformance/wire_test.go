// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// answerTime bounds the wait for an answer that has to come.
const answerTime = harness.Patience

// config is the table's rules as a file, for a daemon whose packet socket answers alone.
func config() string { return configOf(rules.FastPathOff) }

// configOf is that for a daemon with a program in the kernel.
func configOf(mode rules.FastPathMode) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nuplinks: [{interface: uplink, fast_path: %s}]\nrules:\n", mode)
	for _, r := range conformance.Rules() {
		fmt.Fprintf(&b, "  - {prefix: %q, method: %s", r.Prefix, r.Method)
		if r.Targets != "" {
			fmt.Fprintf(&b, ", targets: %s", r.Targets)
		}
		if r.DAD == rules.DADIgnore {
			b.WriteString(", dad: ignore")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// exchange sends a frame and then a good solicitation for a target of its own,
// and returns the advertisements that arrive before the answer to the latter:
// whoever answers in order has then decided about the former.
type exchange struct {
	port      *harness.Port
	sentinels int
}

func (e *exchange) sentinel() netip.Addr {
	e.sentinels++
	b := conformance.PodPrefix.Addr().As16()
	b[13], b[14], b[15] = 0xcc, byte(e.sentinels>>8), byte(e.sentinels)
	return netip.AddrFrom16(b)
}

func (e *exchange) do(t *testing.T, c conformance.Case, last conformance.Frame) [][]byte {
	t.Helper()
	e.port.Send(c.Frame.Bytes())
	e.port.Send(last.Bytes())
	want := last.Target.As16()
	frames := e.port.Advertisements(answerTime, func(f []byte) bool { return [16]byte(f[62:78]) == want })
	if len(frames) == 0 || [16]byte(frames[len(frames)-1][62:78]) != want {
		t.Fatal("the solicitation behind the frame was not answered")
	}
	// Meanwhile the two kernels may resolve each other.
	own := func(f []byte) bool {
		target := netip.AddrFrom16([16]byte(f[62:78]))
		return target != c.Frame.Target && (target == conformance.NodeAddr || target == conformance.NodeLinkLocal)
	}
	return slices.DeleteFunc(frames[:len(frames)-1], own)
}

// override reports the O flag of a frame with an advertisement.
func override(f []byte) bool { return f[58]&0x20 != 0 }

// settled returns the uplink's figures once everything received is accounted
// for: an answer is counted after it was sent.
func settled(d *harness.Daemon) status.Uplink {
	var u status.Uplink
	d.Wait("complete account", func(s status.Status) bool {
		u = s.Uplinks[0]
		sum := u.Answered
		for _, n := range u.Ignored {
			sum += n
		}
		return sum == u.Received
	})
	return u
}

// TestWire sends the table to the running daemon, with each way to answer.
func TestWire(t *testing.T) {
	for _, mode := range []rules.FastPathMode{rules.FastPathOff, rules.FastPathTC, rules.FastPathXDP, rules.FastPathXDPGeneric} {
		t.Run(mode.String(), func(t *testing.T) { testWire(t, mode) })
	}
}

func testWire(t *testing.T, mode rules.FastPathMode) {
	net := harness.NewNetwork(t)
	if mode == rules.FastPathXDP { // without which nothing leaves a veth by XDP
		passXDP(t, net.Router, harness.RouterPort)
	}
	d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, configOf(mode)))
	e := &exchange{port: harness.OpenPort(t, net.Router, harness.RouterPort)}
	last := conformance.Solicitation
	if mode != rules.FastPathOff { // The program answers before the socket does, which has to answer last.
		last = conformance.Long
	}
	before := d.Status().Uplinks[0]
	if way := before.FastPath.Way; mode != rules.FastPathOff && way != mode.String() {
		t.Fatalf("%s answers: %s", way, before.FastPath.Why)
	}
	for _, c := range conformance.Cases() {
		t.Run(c.ID+" "+c.Name, func(t *testing.T) {
			got := e.do(t, c, last(e.sentinel()))
			if c.KernelAnswers {
				if len(got) != 1 || !override(got[0]) {
					t.Fatalf("want the kernel's own answer alone, got % x", got)
				}
				got = nil
			}
			after := settled(d)
			received, answered := after.Received-before.Received, after.Answered-before.Answered
			ignored := after.Ignored[c.Want.String()] - before.Ignored[c.Want.String()]
			before = after
			switch {
			case c.Want == ndp.Answered:
				if len(got) != 1 {
					t.Fatalf("%d answers, want 1: % x", len(got), got)
				}
				a, err := conformance.Decode(got[0])
				if err != nil {
					t.Fatalf("%v in % x", err, got[0])
				}
				if err := c.Answer.Check(a, c.Frame.Target); err != nil {
					t.Error(err)
				}
				if received != 2 || answered != 2 {
					t.Errorf("counted %d received and %d answered, want 2 and 2", received, answered)
				}
			case len(got) != 0:
				t.Errorf("answered by % x", got)
			case c.Filtered && received != 1:
				t.Errorf("%d frames passed the filter, want the one behind the case alone", received)
			case !c.Filtered && (received != 2 || ignored != 1):
				t.Errorf("counted %d received and %d ignored as %s, want 2 and 1", received, ignored, c.Want)
			}
		})
	}
	if n := byProgram(d); (n > 10) != (mode != rules.FastPathOff) {
		t.Errorf("the program has answered %d solicitations", n)
	}
}

// TestKernel asks the kernel's own proxy for a second opinion. Where the table
// says that the kernel does otherwise, it has to.
func TestKernel(t *testing.T) {
	net := harness.NewNetwork(t)
	for _, name := range []string{"all", harness.Uplink} {
		harness.Must(t, net.Node.Sysctl("net/ipv6/conf/"+name+"/proxy_ndp", "1"))
	}
	harness.Must(t, net.Node.Sysctl("net/ipv6/neigh/"+harness.Uplink+"/proxy_delay", "0"))
	uplink, err := net.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	// The kernel proxies only for what it would route elsewhere.
	harness.Must(t, net.Node.Veth("pods", [6]byte{2, 0, 0, 0, 1, 1}, harness.Namespace(t), "eth0", [6]byte{2, 0, 0, 0, 1, 2}))
	proxied := make(map[netip.Addr]bool)
	proxy := func(a netip.Addr) {
		if proxied[a] {
			return
		}
		proxied[a] = true
		harness.Must(t, net.Node.Link.NeighAdd(&netlink.Neigh{LinkIndex: uplink.Attrs().Index, Flags: netlink.NTF_PROXY, IP: a.AsSlice()}))
	}
	for _, prefix := range []string{"2001:db8:1:0:f::/80", "2001:db8:1:0:a::/80"} {
		harness.Must(t, net.Node.Route(prefix, "", "pods"))
	}
	for _, c := range conformance.Cases() {
		if c.Want == ndp.Answered {
			proxy(c.Frame.Target)
		}
	}
	e := &exchange{port: harness.OpenPort(t, net.Router, harness.RouterPort)}
	for _, c := range conformance.Cases() {
		t.Run(c.ID+" "+c.Name, func(t *testing.T) {
			wanted := c.Want == ndp.Answered
			if c.Kernel != "" {
				wanted = !wanted
			}
			var got [][]byte
			// An answer may wait for the kernel to resolve the asker.
			for end := time.Now().Add(harness.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
				last := conformance.Solicitation(e.sentinel())
				proxy(last.Target)
				if got = e.do(t, c, last); len(got) > 0 || !wanted {
					break
				}
			}
			if answered := len(got) > 0; answered != wanted {
				t.Fatalf("the kernel answered: %t, want %t (%s)", answered, wanted, c.Kernel)
			}
			if c.Want != ndp.Answered || len(got) == 0 {
				return
			}
			// It chooses another source sometimes, and leaves the option out of
			// an answer to a unicast solicitation.
			f := got[0]
			if [6]byte(f) != c.Answer.EtherDst || [16]byte(f[38:54]) != c.Answer.Dest.As16() || f[58]&0x40 != 0 != c.Answer.Solicited || override(f) {
				t.Errorf("the kernel's answer is % x", f)
			}
		})
	}
}
