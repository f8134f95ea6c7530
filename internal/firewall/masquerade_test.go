// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
)

// TestMasquerade looks for what changes the source of packets, as network plugins write
// it.
func TestMasquerade(t *testing.T) {
	t.Parallel()
	const (
		post = "nft add table ip6 n; nft add chain ip6 n post '{ type nat hook postrouting priority srcnat; }'; "
		// kube-proxy in iptables mode.
		proxy = "ip6tables -t nat -N KUBE-POSTROUTING; ip6tables -t nat -A POSTROUTING -j KUBE-POSTROUTING; " +
			"ip6tables -t nat -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN; ip6tables -t nat -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000; ip6tables -t nat -A KUBE-POSTROUTING -j MASQUERADE; "
	)
	for _, tt := range []struct{ name, script, want string }{
		{"nothing", "", ""},
		{"kube-proxy", proxy, ""},
		{"kube-proxy with nftables", post + "nft add chain ip6 n masquerading; nft add rule ip6 n masquerading meta mark '&' 0x4000 == 0 return; nft add rule ip6 n masquerading masquerade fully-random; nft add rule ip6 n post jump masquerading", ""},
		{
			"flannel", proxy + "ip6tables -t nat -N FLANNEL-POSTRTG; ip6tables -t nat -A POSTROUTING -m comment --comment 'flanneld masq' -j FLANNEL-POSTRTG; " +
				"ip6tables -t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN; ip6tables -t nat -A FLANNEL-POSTRTG -s 2001:db8:1::/64 -d 2001:db8:1::/64 -j RETURN; " +
				"ip6tables -t nat -A FLANNEL-POSTRTG -s 2001:db8:1::/64 ! -d ff00::/8 -m comment --comment 'flanneld masq' -j MASQUERADE --random-fully", "ip6 nat FLANNEL-POSTRTG",
		},
		{"Cilium", "ip6tables -t nat -N CILIUM_POST_nat; ip6tables -t nat -A POSTROUTING -j CILIUM_POST_nat; ip6tables -t nat -A CILIUM_POST_nat -s 2001:db8:1:0:a::/80 ! -d 2001:db8:1::/64 ! -o cilium_+ -j MASQUERADE", "ip6 nat CILIUM_POST_nat"},
		{"Docker's other network", "ip6tables -t nat -A POSTROUTING -s fd00::/64 ! -o docker0 -j MASQUERADE", ""},
		{"by another device", "ip6tables -t nat -A POSTROUTING -o eth1 -j MASQUERADE", ""},
		{"by the uplink", "ip6tables -t nat -A POSTROUTING -o eth0 -j MASQUERADE", "ip6 nat POSTROUTING"},
		{"an address", "ip6tables -t nat -A POSTROUTING -j SNAT --to-source fd00::1", "ip6 nat POSTROUTING"},
		{"one protocol", "ip6tables -t nat -A POSTROUTING -p tcp -j MASQUERADE", ""},
		{"a part of the prefix", post + "nft add rule ip6 n post ip6 saddr 2001:db8:1:0:a::5 masquerade", ""},
		{"nft", post + "nft add rule ip6 n post ip6 saddr 2001:db8:1::/64 oifname eth0 masquerade", "ip6 n post"},
		{"a set of Calico with nftables", post + "nft add set ip6 n pools '{ type ipv6_addr; flags interval; }'; nft add element ip6 n pools '{ 2001:db8:1::/64 }'; nft add rule ip6 n post ip6 saddr @pools ip6 daddr != @pools masquerade", "ip6 n post"},
		{"a mark", "ip6tables -t nat -A POSTROUTING -m mark --mark 0x1/0x1 -j MASQUERADE", ""},
		{"accepted before", post + "nft add rule ip6 n post ip6 saddr 2001:db8::/32 accept; nft add rule ip6 n post masquerade", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, load(t, tt.script)).Masquerade(firewall.Packet{
				In: firewall.Device{Name: "wg0", Index: 7}, Out: firewall.Device{Name: "eth0", Index: 2},
				Source: prefix("2001:db8:1:0:a::/80"), Destination: prefix("2000::1/128"), State: firewall.New, Unmarked: true,
			})
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// TestMasquerades looks into a chain of Calico, which has a rule while a pool is
// masqueraded, and is empty otherwise.
func TestMasquerades(t *testing.T) {
	t.Parallel()
	const chain = "ip6tables -t nat -N cali-nat-outgoing; "
	for name, tt := range map[string]struct {
		script string
		want   bool
	}{
		"none":  {"", false},
		"empty": {chain, false},
		"full":  {chain + "ip6tables -t nat -A cali-nat-outgoing -s fd00::/64 -j MASQUERADE", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := read(t, load(t, tt.script)).Masquerades("nat", "cali-nat-outgoing"); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
