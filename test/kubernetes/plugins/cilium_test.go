// SPDX-License-Identifier: Apache-2.0

//go:build full

package plugins

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// cilium is Cilium's agents and operator, IPv6 only and without masquerade.
type cilium struct {
	// routing are the flags of the agent that say how nodes reach each other's pods.
	routing  []string
	agents   []*agent
	operator *agent
}

// ciliumNetwork is the CNI configuration that the agent's container installs.
const ciliumNetwork = `{"cniVersion": "0.3.1", "name": %q, "plugins": [{"type": "cilium-cni", "enable-debug": false}]}`

// ciliumFlags leave out of the agent what takes other programs, or no part in pods'
// addresses: Envoy, Hubble, its own service proxy.
func ciliumFlags(s *site) []string {
	return []string{
		"--k8s-kubeconfig-path=" + s.c.Kubeconfig(cluster.AdminToken), "--k8s-namespace=kube-system", "--identity-allocation-mode=crd",
		"--enable-ipv4=false", "--enable-ipv6=true", "--enable-ipv4-masquerade=false", "--enable-ipv6-masquerade=false",
		"--ipam=kubernetes", "--k8s-require-ipv6-pod-cidr=true",
		"--devices=" + harness.Uplink, "--direct-routing-device=" + harness.Uplink,
		"--bpf-root=/sys/fs/bpf", "--cgroup-root=/run/cilium/cgroupv2", "--preallocate-bpf-maps=false", "--bpf-lb-map-max=4096",
		"--kube-proxy-replacement=false", "--enable-l7-proxy=false", "--enable-hubble=false", "--enable-health-checking=false",
		"--enable-endpoint-health-checking=false", "--enable-health-check-nodeport=false", "--cni-exclusive=false",
	}
}

func (c *cilium) install(s *site) {
	if c.operator == nil {
		h := s.hosts[0]
		c.operator = h.start("cilium-operator", h.environment(), cached(s.t, "plugins", "bin", "cilium-operator"),
			"--k8s-kubeconfig-path="+s.c.Kubeconfig(cluster.AdminToken), "--k8s-namespace=kube-system", "--ipam=kubernetes",
			"--enable-ipv4=false", "--enable-ipv6=true", "--identity-allocation-mode=crd", "--operator-api-serve-addr=localhost:9234")
	}
	c.agents = nil
	for _, h := range s.hosts {
		h.mustRun("ln", "-sfn", cached(s.t, "plugins", "cilium", "bpf"), "/var/lib/cilium/bpf")
		h.mustRun("rm", "-f", "/run/cilium/cilium.sock")
		h.write("cni/05-cilium.conflist", fmt.Sprintf(ciliumNetwork, network))
		c.agents = append(c.agents, h.start("cilium-agent", append(h.environment(), "K8S_NODE_NAME="+h.Name, "HOME="+h.dir),
			append(append([]string{cached(s.t, "plugins", "bin", "cilium-agent")}, ciliumFlags(s)...), c.routing...)...))
	}
	for i, a := range c.agents {
		socket := fmt.Sprintf("/proc/%d/root/run/cilium/cilium.sock", a.h.pid)
		a.awaits("API of the agent", func() bool { _, err := os.Stat(socket); return err == nil })
		a.awaits("route to the other node", func() bool { return a.h.routesTo(s.prefix(1 - i)) })
	}
}

func (c *cilium) kill() {
	for _, a := range c.agents {
		a.kill()
	}
}

func (c *cilium) uninstall(s *site) {
	nodes := schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumnodes"}
	for i, h := range s.hosts {
		harness.Must(s.t, s.c.Dynamic.Resource(nodes).Delete(context.Background(), h.Name, metav1.DeleteOptions{}))
		// What has been compiled stays: it takes the agent long.
		h.mustRun("sh", "-c", "find /run/cilium/state -mindepth 1 -maxdepth 1 ! -name templates -exec rm -rf {} +; rm -rf /sys/fs/bpf/cilium /sys/fs/bpf/tc")
		harness.Must(s.t, h.Delete("cilium_host"))
		_, _ = h.run(nil, "ip", "-6", "route", "del", s.prefix(1-i).String()) // in a tunnel it went with the device
	}
}

// routes says that cilium_host, to which the node's prefix is routed, tells of no pod.
func (c *cilium) routes(*site, netip.Addr) int { return silent }

// TestCiliumNative runs beside Cilium 1.20 that routes between the nodes by the link.
func TestCiliumNative(t *testing.T) {
	s, p := newSite(t, 124), &cilium{routing: []string{
		"--routing-mode=native", "--auto-direct-node-routes=true", "--ipv6-native-routing-cidr=" + cluster.PodCIDR,
	}}
	live(t, s, p, modes, "pods", "route")
	t.Run("behind a switch that prunes", func(t *testing.T) { pruned(t, s, p) })
}

// pruned turns MLD snooping on, behind which solicitations come to who has joined their
// groups only. Cilium answers for its pods, but does not join them.
func pruned(t *testing.T, s *site, p plugin) {
	for name, value := range map[string]string{
		"multicast_query_response_interval": "10", "multicast_startup_query_interval": "50", // centiseconds
		"multicast_snooping": "1", "multicast_querier": "1",
	} {
		harness.Must(t, s.n.Switch.WriteSys("class/net/link/bridge/"+name, value))
	}
	deaf := make(map[netip.Addr]int)
	for _, pod := range s.pods {
		deaf[pod.addr] = silent
	}
	s.want(t, "Cilium alone", deaf)
	m := modes[0]
	for _, h := range s.hosts {
		harness.Run(t, h.Namespace, m.args(h)...)
	}
	s.exact(t, "with the daemon", m, p)
}

// TestCiliumTunnel runs beside Cilium 1.20 in a tunnel: the other node's prefix is routed to
// cilium_host without a next hop.
func TestCiliumTunnel(t *testing.T) {
	live(t, newSite(t, 124), &cilium{routing: []string{"--routing-mode=tunnel", "--tunnel-protocol=vxlan", "--underlay-protocol=ipv6"}}, modes, "no file")
}
