// SPDX-License-Identifier: Apache-2.0

//go:build full

package plugins

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// kubeRouter is kube-router without masquerade, tunnels and service proxy, which would take
// IPVS: the nodes tell each other of their prefixes by BGP.
type kubeRouter struct{ agents []*agent }

// kubeRouterNetwork is what kube-router's manifest has. The agent adds the node's prefix.
const kubeRouterNetwork = `{"cniVersion": "0.3.0", "name": %q, "plugins": [
	{"name": "kubernetes", "type": "bridge", "bridge": "kube-bridge", "isDefaultGateway": true, "ipam": {"type": "host-local"}}]}`

func (k *kubeRouter) install(s *site) {
	k.agents = nil
	for _, h := range s.hosts {
		conf := filepath.Join(h.dir, "cni", "10-kuberouter.conflist")
		if _, err := os.Stat(conf); err != nil {
			h.write("cni/10-kuberouter.conflist", fmt.Sprintf(kubeRouterNetwork, network))
		}
		k.agents = append(k.agents, h.start("kube-router", append(h.environment(), "KUBE_ROUTER_CNI_CONF_FILE="+conf), cached(s.t, "plugins", "bin", "kube-router"),
			"--kubeconfig="+s.c.Kubeconfig(cluster.AdminToken), "--hostname-override="+h.Name,
			"--run-router=true", "--run-firewall=true", "--run-service-proxy=false", "--bgp-graceful-restart=true",
			"--service-cluster-ip-range="+cluster.ServiceCIDR, "--enable-ipv4=false", "--enable-ipv6=true", "--router-id=generate", "--enable-overlay=false", "--enable-pod-egress=false"))
	}
	for i, a := range k.agents {
		client := http.Client{Timeout: time.Second, Transport: &http.Transport{DialContext: a.h.Dial, DisableKeepAlives: true}}
		a.awaits("health", func() bool {
			resp, err := client.Get("http://localhost:20244/healthz")
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
		a.awaits("route to the other node", func() bool { return a.h.routesTo(s.prefix(1 - i)) })
	}
}

func (k *kubeRouter) kill() {
	for _, a := range k.agents {
		a.kill()
	}
}

func (k *kubeRouter) uninstall(s *site) {
	for i, h := range s.hosts {
		h.mustRun("rm", "-rf", "/var/lib/cni", filepath.Join(h.dir, "cni"))
		harness.Must(s.t, h.Delete("kube-bridge"))
		h.mustRun("ip", "-6", "route", "del", s.prefix(1-i).String())
	}
}

// routes says that a bridge has its whole prefix on-link.
func (k *kubeRouter) routes(s *site, a netip.Addr) int { return s.owner(a) }

// TestKubeRouter runs beside kube-router 2.10, which the Nodes' annotations tell of the
// prefixes.
func TestKubeRouter(t *testing.T) {
	live(t, newSite(t, 120, "kube-router.io/pod-cidr", "kube-router.io/pod-cidrs"), new(kubeRouter), modes, "pods", "node", "cluster without rules", "route", "no file")
}
