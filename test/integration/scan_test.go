// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// scanFrames are solicitations for addresses of the pods' prefix that nobody has.
func scanFrames(n int) [][]byte {
	return harness.Frames(n, func(i int) conformance.Frame {
		b := conformance.PodPrefix.Addr().As16()
		b[10], b[11], b[12], b[13], b[14], b[15] = 0xbb, byte(i>>16), byte(i*7), byte(i*31), byte(i>>8), byte(i)
		return conformance.Solicitation(netip.AddrFrom16(b))
	})
}

// asked asks for each target three times, a second apart, as a router does (RFC 4861
// §7.2.2), and returns the targets that were answered for.
func asked(p *harness.Port, targets []netip.Addr) map[netip.Addr]bool {
	answered, missing := make(map[netip.Addr]bool), make(map[netip.Addr]bool)
	for _, a := range targets {
		missing[a] = true
	}
	for range 3 {
		for a := range missing {
			p.Send(conformance.Solicitation(a).Bytes())
		}
		p.Advertisements(time.Second, func(f []byte) bool {
			if a := netip.AddrFrom16([16]byte(f[62:78])); missing[a] && f[58]&0x40 != 0 {
				answered[a] = true
				delete(missing, a)
			}
			return len(missing) == 0
		})
		if len(missing) == 0 {
			break
		}
	}
	return answered
}

// TestScan has somebody scan the prefix of a probe rule. Targets that live are asked
// for by the router meanwhile, for the first time.
func TestScan(t *testing.T) {
	t.Parallel()
	const living = 20
	for _, perSecond := range []int{1000, 5000} {
		t.Run(fmt.Sprintf("%d a second", perSecond), func(t *testing.T) {
			t.Parallel()
			n, pods := probed(t)
			var targets []netip.Addr
			for i := range living {
				targets = append(targets, nth(i))
				harness.Must(t, pods.Address("eth0", nth(i).String()+"/80"))
			}
			harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
			d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", harness.Uplink, "--rule", probeRule)
			d.WaitReady()
			newAsker(t, n).WantAnswer(conformance.Pod)
			p := harness.OpenPort(t, n.Router, harness.RouterPort)
			router := harness.NewSteady(t, n.Router, harness.RouterPort, conformance.Pod)
			stop := harness.Flood(t, n.Router, harness.RouterPort, perSecond, scanFrames(40_000))
			time.Sleep(time.Second)
			got := asked(p, targets)
			t.Logf("%d of %d living targets were answered for, beside %d solicitations of a scan", len(got), living, stop())
			if len(got) < living-1 {
				t.Errorf("%d of %d living targets were answered for", len(got), living)
			}
			router.Stop("a scan")
		})
	}
}

// TestStartInScan starts the daemon during a scan. What the kernel's neighbor table
// knows by then goes before what somebody makes up.
func TestStartInScan(t *testing.T) {
	t.Parallel()
	n, pods := probed(t)
	const living = 10
	harness.Must(t, n.Node.Address("pods", "2001:db8:1:0:f::ff/80"))
	var targets []netip.Addr
	for i := range living {
		a := nth(i)
		targets = append(targets, a)
		harness.Must(t, pods.Address("eth0", a.String()+"/80"))
		p, err := n.Node.NewPinger(a) // the node's kernel knows it
		harness.Must(t, err)
		_, err = p.Ping(t.Context(), harness.Patience)
		harness.Must(t, err)
		p.Close()
	}
	stop := harness.Flood(t, n.Router, harness.RouterPort, 20_000, scanFrames(100_000))
	d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", harness.Uplink, "--rule", probeRule)
	d.WaitReady()
	time.Sleep(time.Second) // the scan has taken what there is to take
	got := asked(harness.OpenPort(t, n.Router, harness.RouterPort), targets)
	t.Logf("%d of %d living targets were answered for, beside %d solicitations of a scan", len(got), living, stop())
	if len(got) < living {
		t.Errorf("%d of %d living targets were answered for", len(got), living)
	}
}
