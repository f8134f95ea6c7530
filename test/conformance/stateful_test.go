// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/daemon"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

const (
	header  = "version: 1\nuplinks: [{interface: uplink}]\nrules:\n"
	delayed = header + "  - {prefix: \"2001:db8:1:0:f::/80\", method: static, delay: 1s}\n"
)

// count waits until a reason was met at least n times, and returns the figures.
func count(d *harness.Daemon, r ndp.Reason, n uint64) daemon.UplinkStatus {
	var u daemon.UplinkStatus
	d.Wait(fmt.Sprintf("%d solicitations ignored as %s", n, r), func(s daemon.Status) bool {
		u = s.Uplinks[0]
		return u.Ignored[r.String()] >= n
	})
	return u
}

// probing is a configuration that asks for pods that are not there.
func probing(t *testing.T, net *harness.Network) string {
	harness.Must(t, net.Node.Veth("pods", conformance.MAC{2, 0, 0, 0, 1, 1}, harness.Namespace(t), "eth0", conformance.MAC{2, 0, 0, 0, 1, 2}))
	harness.Must(t, net.Node.Route("2001:db8:1:0:f::/80", "", "pods"))
	return header + "  - {prefix: \"2001:db8:1:0:f::/80\", method: probe, timeout: 50ms, retries: 0}\n"
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// target is one of many addresses of the pods' prefix.
func target(i int) netip.Addr {
	b := conformance.PodPrefix.Addr().As16()
	b[13], b[14], b[15] = byte(i>>16), byte(i>>8), byte(i)
	return netip.AddrFrom16(b)
}

// TestStateful meets the reasons that no single frame can show.
func TestStateful(t *testing.T) {
	tests := map[ndp.Reason]func(*testing.T, *harness.Network, *harness.Port){
		ndp.Silent(rules.NextHop): func(t *testing.T, net *harness.Network, p *harness.Port) {
			harness.Must(t, net.Node.Route("::/0", "2001:db8:1:0:f::ff", harness.Uplink, lab.OnLink))
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, config()))
			p.Send(conformance.Solicitation(addr("2001:db8:1:0:f::ff")).Bytes())
			count(d, ndp.Silent(rules.NextHop), 1)
		},
		ndp.Silent(rules.Claimed): func(t *testing.T, net *harness.Network, p *harness.Port) {
			harness.Must(t, net.Router.Address(harness.RouterPort, conformance.Pod.String()+"/128"))
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, config()))
			p.Send(conformance.Claim(conformance.Pod, conformance.RouterMAC).Bytes())
			d.Wait("conflict", func(s daemon.Status) bool { return len(s.Uplinks[0].Conflicts) == 1 })
			p.Send(conformance.Solicitation(conformance.Pod).Bytes())
			count(d, ndp.Silent(rules.Claimed), 1)
		},
		ndp.NoNeighbor: func(t *testing.T, net *harness.Network, p *harness.Port) {
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, probing(t, net)))
			p.Send(conformance.Solicitation(conformance.Pod).Bytes())
			count(d, ndp.NoNeighbor, 1)
		},
		ndp.ProbeLimited: func(t *testing.T, net *harness.Network, p *harness.Port) {
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, probing(t, net)))
			const scan = 3000
			for i := range scan {
				p.Send(conformance.Solicitation(target(i)).Bytes())
			}
			count(d, ndp.ProbeLimited, 1)
			settled(d)
		},
		ndp.RateLimited: func(t *testing.T, net *harness.Network, p *harness.Port) {
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, config()))
			const flood = 1000
			for i := range flood {
				p.Send(conformance.Probe(target(i)).Bytes())
			}
			u := count(d, ndp.RateLimited, 1)
			d.Wait("whole flood", func(s daemon.Status) bool { u = s.Uplinks[0]; return u.Received >= flood })
			if u = settled(d); u.Answered == 0 || u.Answered > flood/2 {
				t.Errorf("%d of %d answers went to all nodes", u.Answered, flood)
			}
		},
		ndp.Displaced: func(t *testing.T, net *harness.Network, p *harness.Port) {
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, delayed))
			for i := range 8192 {
				p.Send(conformance.Solicitation(target(i)).Bytes())
			}
			count(d, ndp.Displaced, 1)
		},
		ndp.Withdrawn: func(t *testing.T, net *harness.Network, p *harness.Port) {
			path := harness.WriteConfig(t, delayed)
			d := harness.Run(t, net.Node, "--config", path)
			const asked = 200
			for i := range asked {
				p.Send(conformance.Solicitation(target(i)).Bytes())
			}
			d.Wait("solicitations", func(s daemon.Status) bool { return s.Uplinks[0].Received == asked })
			harness.Rewrite(t, path, header+"  - {prefix: \"2001:db8:9::/64\", method: static}\n")
			d.Reload()
			count(d, ndp.Withdrawn, 1)
			settled(d)
		},
		ndp.SendFailed: func(t *testing.T, net *harness.Network, p *harness.Port) {
			// At this MTU the device has no IPv6 and sends no frame of 86 octets,
			// but still receives one.
			d := harness.Start(t, net.Node, "--config", harness.WriteConfig(t,
				"version: 1\nuplinks: [{interface: uplink, source: target}]\nrules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: static}\n"))
			d.WaitReady()
			link, err := net.Node.Link.LinkByName(harness.Uplink)
			harness.Must(t, err)
			harness.Must(t, net.Node.Link.LinkSetMTU(link, 68))
			p.Send(conformance.Solicitation(conformance.Pod).Bytes())
			count(d, ndp.SendFailed, 1)
			if got := d.Status().Uplinks[0].Answered; got != 0 {
				t.Errorf("%d answers counted", got)
			}
		},
	}
	for _, r := range conformance.Stateful() {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			net := harness.NewNetwork(t)
			tests[r](t, net, harness.OpenPort(t, net.Router, harness.RouterPort))
		})
	}
}
