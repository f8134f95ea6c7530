// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"strings"
	"testing"
)

// bridge makes a bridge as programs do that keep a network for their guests: it has an
// address of the guests' prefix, which the kernel makes a route of.
func (n *network) bridge(name, address string) {
	n.t.Helper()
	n.node.run("ip link add name " + name + " type bridge && ip -6 address add " + address + " dev " + name + " nodad && ip link set " + name + " up")
}

// docker are the rules that Docker 28 has for the network of the page and its container.
const docker = `*filter
:FORWARD DROP
:DOCKER -
:DOCKER-BRIDGE -
:DOCKER-CT -
:DOCKER-FORWARD -
:DOCKER-INTERNAL -
:DOCKER-USER -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER ! -i br-web -o br-web -p ipv6-icmp -j ACCEPT
-A DOCKER -d 2001:db8:1:0:d::2/128 ! -i br-web -o br-web -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i br-web -o br-web -j DROP
-A DOCKER-BRIDGE -o br-web -j DOCKER
-A DOCKER-CT -o br-web -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-INTERNAL
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i br-web -j ACCEPT
COMMIT
`

// TestDocker stands in for Docker with the bridge, its addresses, a container and the rules
// of ip6tables, as Docker makes them for the network of the page.
func TestDocker(t *testing.T) {
	t.Parallel()
	p := &page{network: link(t)}
	p.products = []func(){func() {
		p.bridge("br-web", "2001:db8:1:0:d::1/80")
		p.guest("veth1", "br-web", "2001:db8:1:0:d::2/80", "2001:db8:1:0:d::1")
		p.node.write("/root/docker", docker)
		p.node.run("ip6tables-nft-restore /root/docker")
	}}
	p.play("docker.md")
	p.reached("2001:db8:1:0:d::2")

	t.Log("the rule of Docker 28 for a container of a network in the mode nat")
	p.node.run("ip6tables-nft -t raw -A PREROUTING -d 2001:db8:1:0:d::2/128 ! -i br-web -j DROP")
	if out, err := p.elsewhere.try("ping -c 1 -W 1 2001:db8:1:0:d::2"); err == nil {
		t.Errorf("the container is reached: %s", out)
	}
	if out := p.node.run("ndproxyd check"); !strings.Contains(out, "docker_direct_routing") {
		t.Errorf("check does not find the rule: %s", out)
	}
}

// TestPodman stands in for Podman with the bridge and a container, as netavark makes them.
func TestPodman(t *testing.T) {
	t.Parallel()
	p := &page{network: link(t)}
	p.products = []func(){func() {
		p.bridge("podman1", "2001:db8:1:0:9::1/80")
		p.guest("veth1", "podman1", "2001:db8:1:0:9::5/80", "2001:db8:1:0:9::1")
	}}
	p.play("podman.md")
	p.reached("2001:db8:1:0:9::5")
	p.silent("2001:db8:1:0:9::6")
}

// TestIncus stands in for Incus: a routed device is a pair of devices with a route to the
// instance's address and the gateway fe80::1 at the host's end; a managed network is a
// bridge.
func TestIncus(t *testing.T) {
	t.Parallel()
	p := &page{network: link(t)}
	p.products = []func(){func() {
		p.guest("veth-c1", "", "2001:db8:1:0:e::5/128", "fe80::1")
		p.node.run("ip -6 address add fe80::1/128 dev veth-c1 nodad && ip -6 route add 2001:db8:1:0:e::5 dev veth-c1")
	}, func() {
		p.bridge("web", "2001:db8:1:0:f::1/80")
		p.guest("veth2", "web", "2001:db8:1:0:f::7/80", "2001:db8:1:0:f::1")
	}}
	p.play("incus.md")
	p.reached("2001:db8:1:0:e::5")
	p.reached("2001:db8:1:0:f::7")
	p.silent("2001:db8:1:0:e::6")
	p.silent("2001:db8:1:0:f::6")
}
