// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestOpenVPN has Debian's OpenVPN on both ends.
func TestOpenVPN(t *testing.T) {
	t.Parallel()
	n := link(t)
	client := n.client()
	authority := newAuthority(t)
	for h, c := range map[*host]struct {
		folder, name string
		usage        x509.ExtKeyUsage
	}{
		n.node: {"/etc/openvpn/server", "server", x509.ExtKeyUsageServerAuth},
		client: {"/etc/openvpn/client", "client", x509.ExtKeyUsageClientAuth},
	} {
		certificate, key := authority.issue(c.name, c.usage)
		h.write(c.folder+"/ca.crt", encode("CERTIFICATE", authority.certificate.Raw))
		h.write(c.folder+"/"+c.name+".crt", certificate)
		h.write(c.folder+"/"+c.name+".key", key)
	}
	client.write("/etc/openvpn/client/client.conf", `client
dev tun0
dev-type tun
proto udp6
remote 2001:db8:1::1 1194
nobind
ca ca.crt
cert client.crt
key client.key
remote-cert-tls server
connect-retry 1
hand-window 5
`)
	p := &page{network: n}
	stop := func() {}
	p.products = []func(){func() {
		stop = n.node.start("openvpn", "--cd", "/etc/openvpn/server", "--config", "server.conf")
		client.start("openvpn", "--cd", "/etc/openvpn/client", "--config", "client.conf")
		harness.Eventually(t, "address of the client", func() bool {
			out, _ := client.try("ip -6 address show dev tun0")
			return strings.Contains(out, "2001:db8:1:0:b::2")
		})
	}}
	p.play("openvpn.md")
	p.reached("2001:db8:1:0:b::2")
	p.reached("2001:db8:1:0:b::1")
	stop()
	harness.NewAsker(t, n.router, harness.RouterPort).WantSilence(netip.MustParseAddr("2001:db8:1:0:b::2"))
}
