// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// forgerMAC is the station that claims what it does not have.
var forgerMAC = conformance.MAC{2, 0, 0, 0, 0, 0x66}

// forgedAnswer looks like the answer to a question of the node, which the forger has
// not heard.
func forgedAnswer(a netip.Addr) conformance.Frame {
	f := conformance.Claim(a, forgerMAC)
	f.EtherDst, f.Dest, f.Reserved = conformance.NodeMAC, conformance.NodeLinkLocal, 0x60<<24
	return f
}

// TestForgedPairs claims an address blindly, and forges the answer to the question
// that follows. The address stays the node's.
func TestForgedPairs(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{"static": podRule, "a host route": routeRule, "a living target": probeRule} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			pods := device(t, n.Node, "pods")
			harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
			switch rule {
			case routeRule:
				route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
			case probeRule:
				route(t, n.Node, conformance.PodPrefix.String(), "pods", n.Node.Link.RouteAdd)
			}
			harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", rule)
			a := newAsker(t, n)
			a.WantAnswer(conformance.Pod)
			router := harness.NewSteady(t, n.Router, harness.RouterPort, conformance.Pod)
			pairs := 80 // where there is evidence that the address is behind the node
			if rule == podRule {
				pairs = 4 // a static rule is none
			}
			for range pairs {
				a.Port.Send(conformance.Claim(conformance.Pod, forgerMAC).Bytes())
				a.Port.Send(forgedAnswer(conformance.Pod).Bytes())
				time.Sleep(4 * time.Second / time.Duration(pairs))
			}
			router.Stop("forged claims")
		})
	}
}

// forgeries claims n addresses of the pods' prefix, each by two frames.
func forgeries(n int) [][]byte {
	return harness.Frames(2*n, func(i int) conformance.Frame {
		if i%2 == 0 {
			return conformance.Claim(nth(i/2), forgerMAC)
		}
		return forgedAnswer(nth(i / 2))
	})
}

// TestForgedFlood claims 1,024 addresses by 2,000 pairs a second. No address falls
// silent, the questions about them are few, and so are the lines in the log.
func TestForgedFlood(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", harness.Uplink, "--rule", podRule)
	d.WaitReady()
	const addresses, sampled = 1024, 50
	a := newAsker(t, n)
	a.WantAnswer(conformance.Pod)
	router := harness.NewSteady(t, n.Router, harness.RouterPort, nth(3))
	listener := harness.OpenPort(t, n.Router, harness.RouterPort)
	lines := strings.Count(d.Log(), "\n")
	begin, used := time.Now(), d.CPU()
	stop := harness.Flood(t, n.Router, harness.RouterPort, 4000, forgeries(addresses))
	questions := len(listener.Messages(135, 3*time.Second))
	silent := 0
	for i := range sampled {
		if a.Ask(nth(i*addresses/sampled), 300*time.Millisecond) == nil {
			silent++
		}
	}
	sent, elapsed, cpu := stop(), time.Since(begin), d.CPU()-used
	lines = strings.Count(d.Log(), "\n") - lines
	t.Logf("%d forged frames in %s: %d of %d addresses silent, %d questions in 3s, %d log lines, %s of processor time",
		sent, elapsed, silent, sampled, questions, lines, cpu)
	if silent > 0 {
		t.Errorf("%d of %d addresses are silent", silent, sampled)
	}
	if questions > sent/10 {
		t.Errorf("%d questions for %d forged frames", questions, sent)
	}
	if lines > 20 {
		t.Errorf("%d lines in the log", lines)
	}
	router.Stop("2,000 forged claims a second")
}

// TestAmplification counts what the node sends for many forged frames: not
// more of them than came, and answers.
func TestAmplification(t *testing.T) {
	t.Parallel()
	spoofed := conformance.Solicitation(conformance.Pod)
	spoofed.Source, spoofed.EtherSrc = nth(1), forgerMAC // an address of the rule asks
	copy(spoofed.Options[2:], forgerMAC[:])
	for name, c := range map[string]struct {
		frame conformance.Frame
		most  int
	}{
		"an advertisement": {conformance.Claim(conformance.Pod, forgerMAC), 1},
		"a solicitation":   {spoofed, 2}, // the answer, and a question
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
			a := newAsker(t, n)
			a.WantAnswer(conformance.Pod)
			const frames = 500
			var list [][]byte
			for i := range frames {
				f := c.frame
				if f.Type == 136 {
					f = conformance.Claim(nth(10+i), forgerMAC)
				} else {
					f.Source = nth(10 + i)
				}
				list = append(list, f.Bytes())
			}
			asked, answered := harness.OpenPort(t, n.Router, harness.RouterPort), harness.OpenPort(t, n.Router, harness.RouterPort)
			for _, f := range list {
				a.Port.Send(f)
				time.Sleep(time.Millisecond)
			}
			questions, answers := len(asked.Messages(135, 4*time.Second)), len(answered.Messages(136, 100*time.Millisecond))
			t.Logf("%d frames make %d questions and %d answers: %.2f for one", frames, questions, answers, float64(questions+answers)/frames)
			if questions+answers > c.most*frames {
				t.Errorf("%d frames make %d", frames, questions+answers)
			}
		})
	}
}

// TestRivalStaysOwner leaves an address to the station that really has it.
func TestRivalStaysOwner(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	route(t, l.node, "::/0", "eth0", l.node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
	d := harness.Run(t, l.node, "--interface", "eth0", "--rule", wideRule)
	foreign := addr("2001:db8:1::42")
	router := harness.NewAsker(t, l.router, "eth0")
	router.WantAnswer(foreign)
	harness.Must(t, l.host.Address("eth0", foreign.String()+"/64")) // it does not ask whether that is free
	p, err := l.host.NewPinger(conformance.RouterAddr)
	harness.Must(t, err)
	defer p.Close()
	_, _ = p.Ping(t.Context(), time.Second)
	d.Wait("conflict", func(s status.Status) bool { return len(s.Uplinks[0].Conflicts) == 1 })
	for range 20 {
		router.Port.Send(conformance.Solicitation(foreign).Bytes())
		for _, f := range router.Port.Advertisements(50*time.Millisecond, harness.Never) {
			if [6]byte(f[6:12]) == conformance.NodeMAC && [16]byte(f[62:78]) == foreign.As16() {
				t.Fatalf("the node answers for the host: % x", f)
			}
		}
	}
}
