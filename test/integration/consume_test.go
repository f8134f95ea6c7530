// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestManyConsumed consumes unicast solicitations for many prefixes on three uplinks,
// and changes them by reloads: the last of them are in force each time.
func TestManyConsumed(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	routers := map[string]*lab.Namespace{harness.Uplink: n.Router}
	for i, name := range []string{"uplink2", "uplink3"} {
		routers[name] = harness.Namespace(t)
		harness.Must(t, routers[name].Veth(harness.RouterPort, conformance.RouterMAC, n.Node, name, conformance.MAC{2, 0, 0, 0, 0, byte(0x30 + i)}))
		harness.Must(t, routers[name].Address(harness.RouterPort, fmt.Sprintf("2001:db8:%d::ff/64", 7+i)))
		harness.Must(t, n.Node.Address(name, fmt.Sprintf("2001:db8:%d::1/64", 7+i)))
	}
	device(t, n.Node, "pods")
	route(t, n.Node, "2001:db8:1:0:f::/80", "pods", n.Node.Link.RouteAdd)
	// Every other /112 of the pods' prefix, so that none of them merge.
	prefix := func(i int) netip.Prefix {
		b := conformance.PodPrefix.Addr().As16()
		b[12], b[13] = byte(i>>7), byte(i<<1)
		return netip.PrefixFrom(netip.AddrFrom16(b), 112)
	}
	config := func(first, count int) string {
		var b strings.Builder
		b.WriteString("version: 1\nuplinks:\n")
		for _, name := range []string{harness.Uplink, "uplink2", "uplink3"} {
			fmt.Fprintf(&b, "  - {interface: %s, consume_unicast: true}\n", name)
		}
		b.WriteString("rules:\n")
		for i := first; i < first+count; i++ {
			fmt.Fprintf(&b, "  - {prefix: '%s', method: static}\n", prefix(i))
		}
		return b.String()
	}
	path := harness.WriteConfig(t, config(0, 1))
	d := harness.Run(t, n.Node, "--config", path)
	d.Wait("three ready uplinks", func(s status.Status) bool {
		return s.Uplinks[0].State == "ready" && s.Uplinks[1].State == "ready" && s.Uplinks[2].State == "ready"
	})
	for _, step := range []struct{ first, count int }{{0, 64}, {100, 64}, {0, 300}, {500, 300}, {0, 10}} {
		harness.Rewrite(t, path, config(step.first, step.count))
		d.Reload()
		for name, router := range routers {
			link, err := n.Node.Link.LinkByName(name)
			harness.Must(t, err)
			p := harness.OpenPort(t, router, harness.RouterPort)
			for _, i := range []int{step.first, step.first + step.count - 1} {
				f := conformance.Solicitation(prefix(i).Addr().Next())
				f.EtherDst, f.Dest, f.Source = conformance.MAC(link.Attrs().HardwareAddr), f.Target, conformance.RouterLinkLocal
				harness.Eventually(t, fmt.Sprintf("%s of %d prefixes to be consumed on %s", f.Target, step.count, name), func() bool {
					p.Send(f.Bytes())
					return len(p.Messages(unreachable, harness.Quiet)) == 0
				})
			}
		}
	}
	if log := d.Log(); contains(log, "consume_unicast") {
		t.Errorf("the table is complained about: %s", log)
	}
}
