// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// answers asks on a new port until an answer comes, and returns its MAC.
func answers(t *testing.T, n *harness.Network) [6]byte {
	t.Helper()
	p := harness.OpenPort(t, n.Router, harness.RouterPort)
	var mac [6]byte
	harness.Eventually(t, "answer", func() bool {
		p.Send(conformance.Solicitation(conformance.Pod).Bytes())
		got := p.Advertisements(100*time.Millisecond, func(f []byte) bool { return [16]byte(f[62:78]) == conformance.Pod.As16() })
		if len(got) == 0 {
			return false
		}
		a := got[len(got)-1]
		if mac = [6]byte(a[6:12]); mac != [6]byte(a[80:86]) {
			t.Errorf("answer from %x names %x", mac, a[80:86])
		}
		return true
	})
	return mac
}

// TestLife takes an uplink through everything that can become of it.
func TestLife(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Must(t, n.Router.Delete(harness.RouterPort))
	d := harness.Start(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	create := func() {
		t.Helper()
		harness.Must(t, n.Router.Veth(harness.RouterPort, conformance.RouterMAC, n.Node, harness.Uplink, conformance.NodeMAC))
		n.Address(t)
	}
	steps := []struct {
		name  string
		do    func()
		state uplink.State
	}{
		{"not there yet", func() {}, uplink.Absent},
		{"created", create, uplink.Ready},
		{"down", func() { harness.Must(t, n.Node.Down(harness.Uplink)) }, uplink.Down},
		{"up", func() { harness.Must(t, n.Node.Up(harness.Uplink)); n.AddressNode(t) }, uplink.Ready},
		{"no carrier", func() { harness.Must(t, n.Router.Down(harness.RouterPort)) }, uplink.Down},
		{"carrier", func() { harness.Must(t, n.Router.Up(harness.RouterPort)) }, uplink.Ready},
		{"deleted", func() { harness.Must(t, n.Node.Delete(harness.Uplink)) }, uplink.Absent},
		{"created again", create, uplink.Ready},
		{"renamed", func() { rename(t, n, harness.Uplink, "other") }, uplink.Ready},
		{"renamed back", func() { rename(t, n, "other", harness.Uplink) }, uplink.Ready},
		{"without addresses", func() { flush(t, n) }, uplink.NoAddress},
		{"with an address", func() { n.AddressNode(t) }, uplink.Ready},
	}
	for _, s := range steps {
		s.do()
		d.WaitState(s.state)
		if s.state == uplink.Ready {
			if mac := answers(t, n); mac != conformance.NodeMAC {
				t.Errorf("%s: answered with %x", s.name, mac)
			}
		}
		code, body := d.Get("/readyz")
		if ready := code == 200; ready != (s.state == uplink.Ready) {
			t.Errorf("%s: /readyz is %d %s", s.name, code, body)
		}
		_, metrics := d.Get("/metrics")
		if v := metric(t, metrics, `ndproxyd_interface_ready{interface="uplink"}`); (v == 1) != (s.state == uplink.Ready) {
			t.Errorf("%s: interface_ready is %g", s.name, v)
		}
	}
}

func rename(t *testing.T, n *harness.Network, from, to string) {
	t.Helper()
	link, err := n.Node.Link.LinkByName(from)
	harness.Must(t, err)
	harness.Must(t, n.Node.Link.LinkSetName(link, to))
}

// flush takes all addresses off the uplink.
func flush(t *testing.T, n *harness.Network) {
	t.Helper()
	link, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	list, err := n.Node.Link.AddrList(link, netlink.FAMILY_V6)
	harness.Must(t, err)
	for i := range list {
		harness.Must(t, n.Node.Link.AddrDel(link, &list[i]))
	}
}

// TestChangedMAC never answers with the old address once the new one is known.
func TestChangedMAC(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	if mac := answers(t, n); mac != conformance.NodeMAC {
		t.Errorf("answered with %x", mac)
	}
	link, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	harness.Must(t, n.Node.Link.LinkSetHardwareAddr(link, conformance.OtherMAC[:]))
	d.Wait("new MAC", func(s status.Status) bool {
		return s.Uplinks[0].MAC == net.HardwareAddr(conformance.OtherMAC[:]).String()
	})
	if mac := answers(t, n); mac != conformance.OtherMAC {
		t.Errorf("answered with %x", mac)
	}
}

// TestRouterFlag follows the forwarding setting of the uplink.
func TestRouterFlag(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	for _, forwarding := range []string{"0", "1"} {
		harness.Must(t, n.Node.Sysctl("net/ipv6/conf/"+harness.Uplink+"/forwarding", forwarding))
		d.Wait("R flag", func(s status.Status) bool { return s.Uplinks[0].Router == (forwarding == "1") })
	}
}

// TestUnusable names what an uplink can not be, and recovers from it.
func TestUnusable(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br7"
	harness.Must(t, n.Node.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	link, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	bridge, err := n.Node.Link.LinkByName("br7")
	harness.Must(t, err)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	harness.Must(t, n.Node.Link.LinkSetMaster(link, bridge))
	d.WaitState(uplink.Port)
	if why := d.Status().Uplinks[0].Why; !strings.Contains(why, "use br7") {
		t.Errorf("the reason is %q", why)
	}
	harness.Must(t, n.Node.Link.LinkSetNoMaster(link))
	d.WaitReady()
	answers(t, n)
}

// TestNotEthernet waits for a better interface, and says so.
func TestNotEthernet(t *testing.T) {
	t.Parallel()
	node := harness.Namespace(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "tun7"
	harness.Must(t, node.Do(func() error {
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN})
	}))
	d := harness.Start(t, node, "--interface", "tun7", "--rule", podRule)
	d.WaitState(uplink.NotEthernet)
}

// TestSwappedNames has two uplinks, of which one takes the other's name: the
// device has one socket all the same.
func TestSwappedNames(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	other := harness.Namespace(t)
	harness.Must(t, other.Veth("link", [6]byte{2, 0, 0, 0, 3, 1}, n.Node, "uplink2", conformance.OtherMAC))
	harness.Must(t, n.Node.Address("uplink2", "2001:db8:7::1/64"))
	d := harness.Start(t, n.Node, "--interface", harness.Uplink, "--interface", "uplink2", "--rule", podRule)
	states := func(first, second string) {
		t.Helper()
		d.Wait("states "+first+" and "+second, func(s status.Status) bool {
			return s.Uplinks[0].State == first && s.Uplinks[1].State == second
		})
	}
	states("ready", "ready")
	harness.Must(t, n.Router.Delete(harness.RouterPort))
	states("absent", "ready")
	rename(t, n, "uplink2", harness.Uplink)
	states("ready", "absent")
	p := harness.OpenPort(t, other, "link")
	p.Send(conformance.Solicitation(conformance.Pod).Bytes())
	if got := p.Count(1); len(got) != 1 {
		t.Errorf("%d answers, want 1", len(got))
	}
}

// TestForgottenGroups joins again what the kernel forgets when an interface
// loses its IPv6 for a while.
func TestForgottenGroups(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	const group = "ff02::1:ff00:77"
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", "2001:db8:1::77=static")
	mtu := func(v int) {
		t.Helper()
		link, err := n.Node.Link.LinkByName(harness.Uplink)
		harness.Must(t, err)
		harness.Must(t, n.Node.Link.LinkSetMTU(link, v))
	}
	for range 2 {
		harness.Eventually(t, "the group", func() bool { return hasGroup(t, n.Node, harness.Uplink, group) })
		mtu(1200)
		d.WaitState(uplink.NoIPv6)
		mtu(1500)
		n.AddressNode(t)
		d.WaitReady()
	}
}

// TestAlternativeName finds an uplink by another name of its link, also after
// the link was created again.
func TestAlternativeName(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	alias := func() {
		t.Helper()
		link, err := n.Node.Link.LinkByName(harness.Uplink)
		harness.Must(t, err)
		harness.Must(t, n.Node.Link.LinkAddAltName(link, "enp1s0"))
	}
	alias()
	d := harness.Run(t, n.Node, "--interface", "enp1s0", "--rule", podRule)
	harness.Must(t, n.Router.Delete(harness.RouterPort))
	d.WaitState(uplink.Absent)
	harness.Must(t, n.Router.Veth(harness.RouterPort, conformance.RouterMAC, n.Node, harness.Uplink, conformance.NodeMAC))
	n.Address(t)
	alias()
	d.WaitReady()
	answers(t, n)
}

// TestLongAfterDown answers long solicitations each by itself, also those that
// wait while the link goes down.
func TestLongAfterDown(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	p := harness.OpenPort(t, n.Router, harness.RouterPort)
	long := func(a netip.Addr) []byte { return conformance.Long(a).Bytes() }
	d.Signal(syscall.SIGSTOP)
	p.Send(long(addr("2001:db8:1:0:f::7")))
	harness.Must(t, n.Node.Down(harness.Uplink))
	harness.Must(t, n.Node.Up(harness.Uplink))
	n.AddressNode(t)
	d.Signal(syscall.SIGCONT)
	d.WaitReady()
	for _, target := range []string{"2001:db8:1:0:f::8", "2001:db8:1:0:f::9"} {
		harness.Eventually(t, "answer", func() bool {
			p.Send(long(addr(target)))
			got := p.Advertisements(200*time.Millisecond, func(f []byte) bool { return [16]byte(f[62:78]) == addr(target).As16() })
			for _, f := range got[:max(0, len(got)-1)] {
				if a := netip.AddrFrom16([16]byte(f[62:78])); a != addr("2001:db8:1:0:f::7") {
					t.Errorf("asked for %s, answered for %s", target, a)
				}
			}
			return len(got) > 0
		})
	}
}

// TestDeviceAwayAndBack replaces the socket of a device that left and came back
// with the same index before the daemon looked.
func TestDeviceAwayAndBack(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]bool{"at work": false, "down before": true} { // of which the socket heard, and of no more
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			elsewhere := harness.Namespace(t)
			d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
			answers(t, n)
			if down {
				harness.Must(t, n.Node.Down(harness.Uplink))
				d.WaitState(uplink.Down)
			}
			d.Signal(syscall.SIGSTOP)
			harness.Must(t, n.Node.Move(harness.Uplink, elsewhere))
			harness.Must(t, elsewhere.Move(harness.Uplink, n.Node))
			harness.Must(t, n.Node.Up(harness.Uplink))
			n.AddressNode(t)
			d.Signal(syscall.SIGCONT)
			answers(t, n)
			d.WaitReady()
		})
	}
}
