// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// wideRule covers the whole on-link prefix of the uplink: the addresses of nodes and of
// hosts, too.
const wideRule = "rules:\n  - {prefix: \"2001:db8:1::/64\", method: services}\n"

// TestOwnAddresses makes services with the addresses of nodes and of a host on the link,
// which keep them: while they are up, when they come up later, and after a reboot.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	n := cluster.NewNetwork(t, c, 3)
	a := n.Asker()
	heard := harness.OpenPort(t, n.Router, harness.RouterPort)
	host := harness.Namespace(t)
	harness.Must(t, host.Veth("eth0", conformance.MAC{2, 0, 0, 6, 0, 1}, n.Switch, "host", conformance.MAC{2, 0, 0, 6, 0, 2}))
	attach(t, n, "host", "link")
	owned, late, vip := addr("2001:db8:1::a1"), addr("2001:db8:1::a2"), addr("2001:db8:1::b1")
	harness.Must(t, host.Address("eth0", owned.String()+"/64"))
	node := n.Nodes[0]
	daemons := make([]*harness.Daemon, len(n.Nodes))
	for i, on := range n.Nodes {
		daemons[i] = run(t, on, settle, wideRule)
	}
	c.CreateService("node", externalIP(node.Addr))
	c.CreateService("balanced", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })
	balanced(t, c, "balanced", corev1.LoadBalancerIngress{IP: n.Nodes[1].Addr.String()})
	c.CreateService("host", externalIP(owned))
	c.CreateService("late", externalIP(late))
	c.CreateService("vip", externalIP(vip))

	for i, d := range daemons {
		for j, of := range n.Nodes {
			if j > 1 {
				continue // no service has its address
			}
			want := ndp.Silent(rules.NodeAddress)
			if i == j {
				want = ndp.OwnTarget
			}
			harness.Eventually(t, "silence of "+n.Nodes[i].Name+" for the address of "+of.Name, func() bool {
				e := d.Explain(of.Addr).Answers[0]
				return e.Reason == want.String() && e.Cluster != nil && e.Cluster.Node == of.Name
			})
		}
	}
	if e := wantEvent(t, c, "AddressConflict", "Service"); e.InvolvedObject.Name != "host" || !strings.Contains(e.Message, owned.String()) {
		t.Errorf("got %+v", e)
	}
	wantOwner(t, n, a, late)
	wantOwner(t, n, a, vip)

	// No address is being announced: the kernel of a host gives an address up that it
	// hears an advertisement for before it has asked (RFC 4862 §5.4.4).
	harness.Eventually(t, "the end of all announcements", func() bool {
		return !slices.ContainsFunc(daemons, func(d *harness.Daemon) bool {
			series := d.Explain(late).Answers[0].Announcement
			return !d.Status().Cluster.Settled || series != nil && series.Left > 0
		})
	})
	// The host comes up with an address that a node answers for, and once more.
	for _, when := range []string{"when it comes up", "after its reboot"} {
		if !detects(t, host, "eth0", late) {
			t.Errorf("the host loses its address %s", when)
		}
		harness.Eventually(t, "an answer of the host alone", func() bool {
			return slices.Equal(answers(n, a, late, 50*time.Millisecond), []int{-1})
		})
		if when == "when it comes up" {
			harness.Must(t, host.Link.AddrDel(linkOf(t, host, "eth0"), netlinkAddr(late)))
		}
	}

	// A node is rebooted: its kernel looks for duplicates before its daemon runs.
	harness.Must(t, daemons[0].Process.Signal(syscall.SIGKILL))
	daemons[0].Exit()
	harness.Must(t, node.Link.AddrDel(linkOf(t, node.Namespace, harness.Uplink), netlinkAddr(node.Addr)))
	if !detects(t, node.Namespace, harness.Uplink, node.Addr) {
		t.Error("a node loses its address to another one")
	}

	// Another program puts an address on the uplink of a node.
	harness.Must(t, n.Nodes[2].Address(harness.Uplink, vip.String()+"/64"))
	harness.Eventually(t, "an answer of the node's kernel alone", func() bool {
		return slices.Equal(answers(n, a, vip, 50*time.Millisecond), []int{2})
	})
	told(t, c, "vip", "AddressConflict", vip.String())

	for _, f := range heard.Advertisements(10*time.Millisecond, harness.Never) {
		target := netip.AddrFrom16([16]byte(f[62:78]))
		const override = 0x20
		stranger := slices.ContainsFunc(n.Nodes, func(o *cluster.Node) bool { return o.Addr != target && bytes.Equal(f[6:12], o.MAC[:]) })
		if of := target == node.Addr || target == n.Nodes[1].Addr || target == owned; of && stranger && f[58]&override != 0 {
			t.Errorf("%x announces %s, which another station has", f[6:12], target)
		}
	}
}

// detects gives a device an address after real duplicate address detection, and reports
// whether it has it then.
func detects(t *testing.T, ns *lab.Namespace, device string, a netip.Addr) bool {
	t.Helper()
	for key, value := range map[string]string{"accept_dad": "1", "dad_transmits": "1"} {
		harness.Must(t, ns.Sysctl("net/ipv6/conf/"+device+"/"+key, value))
	}
	link := linkOf(t, ns, device)
	harness.Must(t, ns.Link.AddrAdd(link, netlinkAddr(a)))
	failed := true
	harness.Eventually(t, "end of duplicate address detection", func() bool {
		list, err := ns.Link.AddrList(link, netlink.FAMILY_V6)
		harness.Must(t, err)
		i := slices.IndexFunc(list, func(have netlink.Addr) bool { return have.IP.Equal(a.AsSlice()) })
		if i < 0 { // the kernel has taken it away
			return true
		}
		failed = list[i].Flags&unix.IFA_F_DADFAILED != 0
		return failed || list[i].Flags&unix.IFA_F_TENTATIVE == 0
	})
	return !failed
}
