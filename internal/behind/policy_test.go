// SPDX-License-Identifier: Apache-2.0

package behind_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// kinds are those of devices that a host may forward to. A node of a cluster takes
// the far end of a tunnel for another node.
func kinds() (local, tunnels []string) {
	return []string{"veth", "bridge", "dummy", "tun", "ppp", "ovpn", "amneziawg", "netkit", "vlan", "bond", "device", "ifb", "vrf", "hsr", "wwan", "nlmon", "some-kind-to-come"},
		[]string{
			"wireguard", "vxlan", "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan", "ipip", "sit", "ip6tnl",
			"vti", "vti6", "xfrm", "bareudp", "amt", "gtp", "l2tpeth", "batadv",
		}
}

// TestKinds routes to a device of each kind, on a host and on a node of a cluster.
func TestKinds(t *testing.T) {
	t.Parallel()
	local, tunnels := kinds()
	for i, kind := range append(local, tunnels...) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const index = 50
			r := testRoutes()
			r.SetDevice(hostwatch.Device{Index: index, Name: "x0", Kind: kind}, false)
			p := netip.MustParsePrefix("2001:db8:1:0:a::/112")
			r.Apply(message(p.String(), dev(index)), 0, false)
			j := behind.New(r)
			j.SetUplinks([]int{uplink})
			if e, ok := j.Entry(p); !ok || !e.Behind || !e.Forwarded || e.Neighbor || e.Host {
				t.Errorf("on a host the entry is %+v", e)
			}
			j.SetPolicy(true, nil)
			if e, _ := j.Entry(p); e.Behind != (i < len(local)) || !e.Forwarded {
				t.Errorf("on a node the entry is %+v", e)
			}
		})
	}
}

// TestPlugins knows the devices of network plugins by their names, on every host.
func TestPlugins(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{
		"flannel.1": "vxlan", "flannel-v6.1": "vxlan", "flannel.4096": "vxlan", "flannel-wg-v6": "wireguard",
		"vxlan.calico": "vxlan", "vxlan-v6.calico": "vxlan", "wireguard.cali": "wireguard", "wg-v6.cali": "wireguard", "tunl0": "ipip",
		"cilium_vxlan": "vxlan", "cilium_wg0": "wireguard", "genev_sys_6081": "geneve", "antrea-wg0": "wireguard",
		"cilium_host": "veth", "ovn-k8s-mp0": "openvswitch", "antrea-gw0": "openvswitch",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const index = 50
			r := testRoutes()
			r.SetDevice(hostwatch.Device{Index: index, Name: name, Kind: kind}, false)
			p := netip.MustParsePrefix("2001:db8:1:0:a::/112")
			r.Apply(message(p.String(), via("fe80::9", index)), 0, false)
			j := behind.New(r)
			j.SetUplinks([]int{uplink})
			if e, ok := j.Entry(p); !ok || e.Behind || !e.Forwarded {
				t.Errorf("the entry is %+v", e)
			}
		})
	}
}

// TestPluginIsThere takes a host with a device of a network plugin for a node.
func TestPluginIsThere(t *testing.T) {
	t.Parallel()
	r := testRoutes()
	j := behind.New(r)
	why := func() string { return j.WhyNotDevice(wireguard) }
	if j.SetPolicy(false, nil) != true || why() == "" { // testRoutes has ovn-k8s-mp0
		t.Errorf("with ovn-k8s-mp0: %q", why())
	}
	r.SetDevice(hostwatch.Device{Index: ovn}, true)
	if !j.SetPolicy(false, nil) || why() != "" {
		t.Errorf("without it: %q", why())
	}
	if j.SetPolicy(false, nil) {
		t.Error("nothing has changed")
	}
	r.SetDevice(hostwatch.Device{Index: 60, Name: "tunl0", Kind: "ipip"}, false) // made by a module
	if j.SetPolicy(false, nil) {
		t.Error("tunl0 makes a node")
	}
	r.SetDevice(hostwatch.Device{Index: 61, Name: "kube-ipvs0", Kind: "dummy"}, false)
	if !j.SetPolicy(false, nil) || why() == "" {
		t.Error("kube-ipvs0 does not make a node")
	}
}

// TestSettings puts the operator's word before the table.
func TestSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		node     bool
		settings []rules.DeviceSetting
		want     map[int32]string
	}{
		{"none", false, nil, map[int32]string{wireguard: "", pod1: ""}},
		{"name", true, []rules.DeviceSetting{{Name: "wg0"}, {Name: "pod1", Leads: rules.LeadsElsewhere}}, map[int32]string{wireguard: "", pod1: "through a tunnel (veth)", bridge: ""}},
		{"kind", true, []rules.DeviceSetting{{Kind: "wireguard"}, {Kind: "veth", Leads: rules.LeadsElsewhere}}, map[int32]string{wireguard: "", pod1: "through a tunnel (veth)", pod2: "through a tunnel (veth)"}},
		{"kind on a host", false, []rules.DeviceSetting{{Kind: "wireguard", Leads: rules.LeadsElsewhere}}, map[int32]string{wireguard: "through a tunnel (wireguard)"}},
		{"name before kind", false, []rules.DeviceSetting{{Kind: "veth", Leads: rules.LeadsElsewhere}, {Name: "pod1"}}, map[int32]string{pod1: "", pod2: "through a tunnel (veth)"}},
		{"names that begin so", false, []rules.DeviceSetting{{Name: "pod*", Leads: rules.LeadsElsewhere}}, map[int32]string{pod1: "through a tunnel (veth)", pod2: "through a tunnel (veth)", bridge: ""}},
		{"name before its beginning", false, []rules.DeviceSetting{{Name: "pod1"}, {Name: "pod*", Leads: rules.LeadsElsewhere}}, map[int32]string{pod1: "", pod2: "through a tunnel (veth)"}},
		{"uplinks stay uplinks", false, []rules.DeviceSetting{{Name: "*"}}, map[int32]string{uplink: "through an uplink"}},
		{"macvlan that leads behind", false, []rules.DeviceSetting{{Name: "shim0"}}, map[int32]string{macvlan: "", stacked: ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testRoutes()
			r.SetDevice(hostwatch.Device{Index: ovn}, true)
			j := behind.New(r)
			j.SetUplinks([]int{uplink})
			j.SetPolicy(tt.node, tt.settings)
			for index, want := range tt.want {
				if got := j.WhyNotDevice(index); got != want {
					t.Errorf("device %d: got %q, want %q", index, got, want)
				}
			}
		})
	}
}

// TestHost looks at what the host itself takes.
func TestHost(t *testing.T) {
	t.Parallel()
	const dummy, ipvs = 70, 71
	local := func(index int32, proto uint8) hostwatch.Path {
		return hostwatch.Path{Kind: unix.RTN_LOCAL, Proto: proto, Index: index}
	}
	own := func(index int32) hostwatch.Path { return local(index, unix.RTPROT_KERNEL) }
	byHand := func(index int32) hostwatch.Path { return local(index, unix.RTPROT_BOOT) }
	const address, pool = "2001:db8:1::5/128", "2001:db8:1::/64"
	tests := []struct {
		name         string
		prefix       string
		paths        []hostwatch.Path
		node         bool
		host, hidden bool
	}{
		{name: "address of lo", prefix: address, paths: []hostwatch.Path{own(lo)}, host: true},
		{name: "address of lo on a node", prefix: address, paths: []hostwatch.Path{own(lo)}, node: true, host: true, hidden: true},
		{name: "address of a dummy", prefix: address, paths: []hostwatch.Path{own(dummy)}, host: true},
		{name: "address of a dummy on a node", prefix: address, paths: []hostwatch.Path{own(dummy)}, node: true, host: true},
		{name: "address of a bridge", prefix: address, paths: []hostwatch.Path{own(bridge)}, host: true},
		{name: "address of a tunnel", prefix: address, paths: []hostwatch.Path{own(wireguard)}, host: true},
		{name: "address of kube-ipvs0", prefix: address, paths: []hostwatch.Path{own(ipvs)}, host: true, hidden: true},
		{name: "address of the uplink", prefix: address, paths: []hostwatch.Path{own(uplink)}},
		{name: "address of a macvlan of the uplink", prefix: address, paths: []hostwatch.Path{own(macvlan)}},
		{name: "address of the uplink and of a dummy", prefix: address, paths: []hostwatch.Path{own(dummy), own(uplink)}},
		{name: "AnyIP on lo", prefix: pool, paths: []hostwatch.Path{byHand(lo)}, host: true},
		{name: "AnyIP on the uplink", prefix: pool, paths: []hostwatch.Path{byHand(uplink)}, host: true},
		{name: "AnyIP for one address on the uplink", prefix: address, paths: []hostwatch.Path{byHand(uplink)}, host: true},
		{name: "AnyIP for everything", prefix: "::/0", paths: []hostwatch.Path{byHand(lo)}},
		{name: "loopback address", prefix: "::1/128", paths: []hostwatch.Path{own(lo)}},
		{name: "anycast", prefix: address, paths: []hostwatch.Path{{Kind: unix.RTN_ANYCAST, Proto: unix.RTPROT_KERNEL, Index: dummy}}},
		{name: "blackhole", prefix: pool, paths: []hostwatch.Path{{Kind: unix.RTN_BLACKHOLE, Index: lo}}},
		{name: "unicast to lo", prefix: pool, paths: []hostwatch.Path{dev(lo)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testRoutes()
			r.SetDevice(hostwatch.Device{Index: ovn}, true)
			r.SetDevice(hostwatch.Device{Index: dummy, Name: "dummy0", Kind: "dummy"}, false)
			if tt.paths[0].Index == ipvs { // which makes the host a node
				r.SetDevice(hostwatch.Device{Index: ipvs, Name: "kube-ipvs0", Kind: "dummy"}, false)
			}
			j := behind.New(r)
			j.SetUplinks([]int{uplink})
			j.SetPolicy(tt.node, nil)
			for _, p := range tt.paths {
				msg := message(tt.prefix, p)
				msg.Table, msg.Whole = unix.RT_TABLE_LOCAL, false
				r.Apply(msg, 0, false)
			}
			e, ok := j.Entry(netip.MustParsePrefix(tt.prefix))
			if !ok || e.Host != tt.host || e.Hidden != tt.hidden || e.Behind || e.Forwarded || e.Neighbor {
				t.Errorf("entry is %+v", e)
			}
		})
	}
}

// TestForwarded looks at what a rule that names the device takes for evidence.
func TestForwarded(t *testing.T) {
	t.Parallel()
	const seg6 = "2001:db8:1::/64"
	encap := dev(pod1)
	encap.Encap = true
	tests := []struct {
		name      string
		path      hostwatch.Path
		node      bool
		behind    bool
		forwarded bool
	}{
		{"device", dev(pod1), false, true, true},
		{"tunnel on a node", dev(wireguard), true, false, true},
		{"next hop on a plugin's device", via("fe80::9", ovn), true, false, true},
		{"encapsulation on a host", encap, false, true, true},
		{"encapsulation on a node", encap, true, false, true},
		{"uplink", dev(uplink), false, false, false},
		{"encapsulation on the uplink", hostwatch.Path{Kind: unix.RTN_UNICAST, Index: uplink, Encap: true}, false, false, false},
		{"macvlan of the uplink", dev(macvlan), false, false, false},
		{"this host", dev(lo), false, false, false},
		{"unreachable", typed(unix.RTN_UNREACHABLE), false, false, false},
		{"unknown device", dev(99), false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testRoutes()
			if !tt.node {
				r.SetDevice(hostwatch.Device{Index: ovn}, true)
			}
			j := behind.New(r)
			j.SetUplinks([]int{uplink})
			j.SetPolicy(tt.node, nil)
			r.Apply(message(seg6, tt.path), 0, false)
			e, ok := j.Entry(netip.MustParsePrefix(seg6))
			if !ok || e.Behind != tt.behind || e.Forwarded != tt.forwarded || tt.path.Encap && e.Neighbor {
				t.Errorf("entry is %+v", e)
			}
		})
	}
	t.Run("default route", func(t *testing.T) {
		t.Parallel()
		r := testRoutes()
		r.Apply(message("::/0", dev(pod1)), 0, false)
		if e, ok := behind.New(r).Entry(netip.MustParsePrefix("::/0")); !ok || e.Behind || e.Forwarded || e.Neighbor {
			t.Errorf("entry is %+v", e)
		}
	})
}

// TestPodRoutes looks at what routes say of the pods of a node: which are at the far
// end of a device here, and which are sent to another node.
func TestPodRoutes(t *testing.T) {
	t.Parallel()
	const nk, host = 50, 51
	const pod, block = "2001:db8:1:0:a::5/128", "2001:db8:1:0:a::/112"
	encap := dev(pod1)
	encap.Encap = true
	tests := []struct {
		name                        string
		prefix                      string
		path                        hostwatch.Path
		behind, attached, elsewhere bool
	}{
		{"veth", pod, dev(pod1), true, true, false},
		{"netkit without neighbor discovery", pod, dev(nk), true, true, false},
		{"bridge", block, dev(bridge), true, true, false},
		{"tun", pod, dev(tun), true, false, false},
		{"ipvlan in the mode l3", pod, dev(ipvlan), true, false, false},
		{"a router behind the node", block, via("fe80::9", pod1), true, false, false},
		{"one address by a next hop on another interface", pod, via("fe80::9", pod1), true, false, true},
		{"uplink", block, via("fe80::9", uplink), false, false, true},
		{"on the uplink's link", block, dev(uplink), false, false, true},
		{"macvlan of the uplink", pod, dev(macvlan), false, false, true},
		{"tunnel", block, dev(wireguard), false, false, true},
		{"encapsulated", pod, encap, false, true, true},
		{"the plugin's device, on-link", block, dev(ovn), true, true, false},
		{"the plugin's device, next hop", block, via("fe80::9", ovn), false, false, true},
		{"cilium_host", block, dev(host), false, true, false},
		{"blackhole", block, typed(unix.RTN_BLACKHOLE), false, false, false},
		{"part of a default route", "2000::/3", via("fe80::9", uplink), false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testRoutes()
			r.SetDevice(hostwatch.Device{Index: nk, Name: "lxc1", Kind: "netkit"}, false)
			r.SetDevice(hostwatch.Device{Index: host, Name: "cilium_host", Kind: "veth"}, false)
			r.Apply(message(tt.prefix, tt.path), 0, false)
			j := behind.New(r)
			j.SetUplinks([]int{uplink})
			j.SetPolicy(true, nil)
			e, _ := j.Entry(netip.MustParsePrefix(tt.prefix))
			if e.Behind != tt.behind || e.Attached != tt.attached && tt.behind || e.Elsewhere != tt.elsewhere {
				t.Errorf("the entry is %+v", e)
			}
		})
	}
}
