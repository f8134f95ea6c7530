// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// tunnel adds a tun device to the node, and returns the program's end of it.
func tunnel(t *testing.T, n *harness.Network, name string) *os.File {
	t.Helper()
	tun := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: name}, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1, NonPersist: true,
		Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_ONE_QUEUE,
	}
	harness.Must(t, n.Node.Do(func() error { return netlink.LinkAdd(tun) }))
	harness.Must(t, n.Node.Up(name))
	f := tun.Fds[0]
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestProbeOnTunnel has an ndppd.conf ask on a device that has no neighbor discovery.
// What is routed there is answered for as by a route, nothing but IP packets goes into
// the tunnel, and the commands say so.
func TestProbeOnTunnel(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	end := tunnel(t, n, "tun0")
	route(t, n.Node, conformance.PodPrefix.String(), "tun0", n.Node.Link.RouteAdd)
	d, path := asNDPPD(t, n, "proxy uplink {\n rule 2001:db8:1:0:f::/80 {\n iface tun0\n }\n}\n")
	d.WaitReady()
	a := newAsker(t, n)
	for range 3 {
		a.WantAnswer(conformance.Pod)
	}
	harness.Must(t, unix.SetNonblock(int(end.Fd()), true))
	for b := make([]byte, 2000); ; {
		k, err := unix.Read(int(end.Fd()), b)
		if err != nil || k == 0 { // nothing is left
			break
		}
		if version := b[0] >> 4; version != 6 {
			t.Errorf("this is no IPv6 packet: % x", b[:k])
		}
	}
	for _, args := range [][]string{{"check", "--config", path}, {"convert", path}} {
		var out bytes.Buffer
		command(t, n, &out, 0, args...)
		if !contains(out.String(), "tun0 looks like a tunnel") {
			t.Errorf("%s does not say that nobody can be asked on tun0: %s", args[0], &out)
		}
	}
}
