// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
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
func count(d *harness.Daemon, r ndp.Reason, n uint64) status.Uplink {
	var u status.Uplink
	d.Wait(fmt.Sprintf("%d solicitations ignored as %s", n, r), func(s status.Status) bool {
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
			d.Wait("conflict", func(s status.Status) bool { return len(s.Uplinks[0].Conflicts) == 1 })
			p.Send(conformance.Solicitation(conformance.Pod).Bytes())
			count(d, ndp.Silent(rules.Claimed), 1)
		},
		ndp.Silent(rules.OwnAddress): func(t *testing.T, net *harness.Network, p *harness.Port) {
			harness.Must(t, net.Node.Address("lo", conformance.Pod.String()+"/128"))
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, header+"  - {prefix: \"2001:db8:1:0:f::/80\", method: route, own_addresses: false}\n"))
			p.Send(conformance.Solicitation(conformance.Pod).Bytes())
			count(d, ndp.Silent(rules.OwnAddress), 1)
		},
		ndp.Silent(rules.SameLink): func(t *testing.T, net *harness.Network, p *harness.Port) {
			uplink, err := net.Node.Link.LinkByName(harness.Uplink)
			harness.Must(t, err)
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.ParentIndex = "shim0", uplink.Attrs().Index
			harness.Must(t, net.Node.Link.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}))
			harness.Must(t, net.Node.Up("shim0"))
			harness.Must(t, net.Node.Route(conformance.Pod.String()+"/128", "", "shim0"))
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, config()))
			p.Send(conformance.Solicitation(conformance.Pod).Bytes())
			count(d, ndp.Silent(rules.SameLink), 1)
		},
		ndp.Silent(rules.Shared): func(t *testing.T, net *harness.Network, p *harness.Port) {
			harness.Must(t, net.Node.Veth("pods", conformance.MAC{2, 0, 0, 0, 1, 1}, harness.Namespace(t), "eth0", conformance.MAC{2, 0, 0, 0, 1, 2}))
			harness.Must(t, net.Node.Route("2001:db8:1::/64", "fe80::9", "pods", func(r *netlink.Route) { r.Priority = 1 })) // the uplink's prefix
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, header+"  - {prefix: \"2001:db8:1::/64\", method: route}\n"))
			p.Send(conformance.Solicitation(conformance.Pod).Bytes())
			count(d, ndp.Silent(rules.Shared), 1)
		},
		ndp.Silent(rules.Standby): func(t *testing.T, net *harness.Network, p *harness.Port) {
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, header+"  - {prefix: \"2001:db8:1:0:f::/80\", method: static, while: {interface: wg0}}\n"))
			p.Send(conformance.Solicitation(conformance.Pod).Bytes())
			count(d, ndp.Silent(rules.Standby), 1)
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
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t,
				"version: 1\nuplinks: [{interface: uplink, limit_per_asker: 50}]\nrules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: static}\n"))
			const flood = 1000
			for i := range flood {
				p.Send(conformance.Solicitation(target(i)).Bytes())
			}
			u := count(d, ndp.RateLimited, 1)
			d.Wait("whole flood", func(s status.Status) bool { u = s.Uplinks[0]; return u.Received >= flood })
			if u = settled(d); u.Answered == 0 || u.Answered > flood/2 {
				t.Errorf("%d of %d answers went to one asker", u.Answered, flood)
			}
		},
		ndp.Displaced: func(t *testing.T, net *harness.Network, p *harness.Port) {
			// A bridge holds duplicate address detection, and has room for so many.
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "br0"
			harness.Must(t, net.Node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
			bridge, err := net.Node.Link.LinkByName("br0")
			harness.Must(t, err)
			port, err := net.Node.Link.LinkByName(harness.Uplink)
			harness.Must(t, err)
			harness.Must(t, net.Node.Link.LinkSetMaster(port, bridge))
			harness.Must(t, net.Node.Up("br0"))
			harness.Must(t, net.Node.Address("br0", "fe80::5/64"))
			harness.Must(t, net.Node.Address("br0", conformance.NodeAddr.String()+"/64")) // as the port has it
			d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, strings.Replace(config(), "interface: uplink", "interface: br0", 1)))
			sent := 0
			d.Wait("a full queue", func(s status.Status) bool {
				if s.Uplinks[0].Ignored[ndp.Displaced.String()] > 0 {
					return true
				}
				var frames [2 * 4096][]byte
				for i := range frames { // of stations that the bridge has not seen before
					f := conformance.Probe(target(sent))
					f.EtherSrc = conformance.MAC{2, 9, 0, byte(sent >> 16), byte(sent >> 8), byte(sent)}
					frames[i] = f.Bytes()
					sent++
				}
				for _, f := range frames {
					p.Send(f)
				}
				return false
			})
		},
		ndp.Withdrawn: func(t *testing.T, net *harness.Network, p *harness.Port) {
			path := harness.WriteConfig(t, delayed)
			d := harness.Run(t, net.Node, "--config", path)
			const asked = 200
			harness.Eventually(t, "a reload before the delay is over", func() bool {
				harness.Rewrite(t, path, delayed)
				d.Reload()
				before := d.Status().Uplinks[0].Received
				for i := range asked {
					p.Send(conformance.Solicitation(target(i)).Bytes())
				}
				d.Wait("solicitations", func(s status.Status) bool { return s.Uplinks[0].Received == before+asked })
				harness.Rewrite(t, path, header+"  - {prefix: \"2001:db8:9::/64\", method: static}\n")
				d.Reload()
				return settled(d).Ignored[ndp.Withdrawn.String()] > 0
			})
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

// TestDuplicateFlood sends more duplicate address detection than may be answered
// to all nodes: everything is answered, the rest to the asker alone.
func TestDuplicateFlood(t *testing.T) {
	t.Parallel()
	net := harness.NewNetwork(t)
	p := harness.OpenPort(t, net.Router, harness.RouterPort)
	d := harness.Run(t, net.Node, "--config", harness.WriteConfig(t, config()))
	const flood, burst = 500, 50 // the port's buffer holds a few bursts
	began := time.Now()
	seen, toAll := make(map[[16]byte]bool), 0
	for sent := 0; sent < flood; sent += burst {
		for i := range burst {
			p.Send(conformance.Probe(target(sent + i)).Bytes())
		}
		p.Advertisements(answerTime, func(f []byte) bool {
			if [6]byte(f) == [6]byte{0x33, 0x33, 0, 0, 0, 1} {
				toAll++
			} else if [6]byte(f) != conformance.RouterMAC || [16]byte(f[38:54]) != addr("ff02::1").As16() {
				t.Errorf("an answer goes to % x", f[:54])
			}
			seen[[16]byte(f[62:78])] = true
			return len(seen) == sent+burst
		})
	}
	if most := 100 * (2 + int(time.Since(began)/time.Second)); len(seen) != flood || toAll < 100 || toAll > most {
		t.Errorf("%d of %d were answered, %d of them to all nodes, want 100 to %d", len(seen), flood, toAll, most)
	}
	settled(d)
}
