// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"strings"
	"testing"
)

// keys makes a pair of keys.
func keys(h *host) (private, public string) {
	h.t.Helper()
	private = strings.TrimSpace(h.run("wg genkey"))
	return private, strings.TrimSpace(h.run("echo " + private + " | wg pubkey"))
}

// TestWireGuard has wireguard-go, the implementation in user space, which wg-quick starts
// where the kernel has none. So the device is of the kind tun: the kind wireguard is a
// unit test of package behind.
func TestWireGuard(t *testing.T) {
	t.Parallel()
	n := link(t)
	client := n.client()
	serverPrivate, serverPublic := keys(client)
	peerPrivate, peerPublic := keys(client)
	client.write("/etc/wireguard/wg0.conf", `[Interface]
Address = 2001:db8:1:0:a::2/128
PrivateKey = `+peerPrivate+`
Table = off
[Peer]
PublicKey = `+serverPublic+`
AllowedIPs = ::/0
Endpoint = [2001:db8:1::1]:51820
PersistentKeepalive = 1
`)
	client.run("wg-quick up wg0 && ip -6 route add 2001:db8:2::/64 dev wg0")
	p := &page{network: n, replace: strings.NewReplacer("SERVER-PRIVATE-KEY", serverPrivate, "PEER-PUBLIC-KEY", peerPublic)}
	p.play("wireguard.md")
	p.reached("2001:db8:1:0:a::2")
	p.reached("2001:db8:1:0:a::1")
	p.silent("2001:db8:1:0:a::3")
}
