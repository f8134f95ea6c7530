// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"os"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// tun adds a tun device to a namespace, and returns the program's end of it.
func tun(t *testing.T, ns *lab.Namespace, name string) *os.File {
	t.Helper()
	device := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: name}, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1, NonPersist: true,
		Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_ONE_QUEUE,
	}
	harness.Must(t, ns.Do(func() error { return netlink.LinkAdd(device) }))
	harness.Must(t, ns.Up(name))
	t.Cleanup(func() { _ = device.Fds[0].Close() })
	return device.Fds[0]
}

// TestStrongSwan stands in for the tunnel: the kernel of the tests has neither the kind
// xfrm nor ESP. A tun device has the name of the page's, and its packets go to the client
// and back by copies between two tun devices, without encryption. Policies are not set up:
// nothing of what ndproxyd looks at would change.
func TestStrongSwan(t *testing.T) {
	t.Parallel()
	n := link(t)
	client := harness.Namespace(t)
	p := &page{network: n}
	p.products = []func(){func() {
		ends := [2]*os.File{tun(t, n.node.Namespace, "ipsec0"), tun(t, client, "ipsec0")}
		for i, from := range ends {
			to := ends[1-i]
			go func() {
				for b := make([]byte, 65536); ; {
					k, err := from.Read(b)
					if err != nil {
						return
					}
					_, _ = to.Write(b[:k])
				}
			}()
		}
		harness.Must(t, client.Address("ipsec0", "2001:db8:1:0:6::5/128"))
		harness.Must(t, client.Route("::/0", "", "ipsec0"))
		n.node.run("ip -6 route add 2001:db8:1:0:6::/112 dev ipsec0")
	}}
	p.play("strongswan.md")
	p.reached("2001:db8:1:0:6::5")
}
