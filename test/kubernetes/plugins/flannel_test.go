// SPDX-License-Identifier: Apache-2.0

//go:build full

package plugins

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// flannel is flanneld without masquerade.
type flannel struct {
	backend string
	agents  []*agent
}

// flannelNetwork is flannel's configuration, IPv6 only.
const flannelNetwork = `{"EnableIPv4": false, "EnableIPv6": true, "IPv6Network": %q, "Backend": {"Type": %q}}`

// bridgeNetwork is what flannel's own CNI plugin hands on to the reference plugins.
const bridgeNetwork = `{"cniVersion": "1.0.0", "name": %q, "plugins": [
	{"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false,
	 "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]]}}]}`

func (f *flannel) install(s *site) {
	f.agents = nil
	for i, h := range s.hosts {
		h.mustRun("rm", "-f", "/run/flannel/subnet.env") // which the agent writes when it is ready
		h.write("net-conf.json", fmt.Sprintf(flannelNetwork, cluster.PodCIDR, f.backend))
		f.agents = append(f.agents, h.start("flanneld", h.environment(), cached(s.t, "plugins", "bin", "flanneld"),
			"--kube-subnet-mgr", "--kubeconfig-file="+s.c.Kubeconfig(cluster.AdminToken), "--net-config-path="+h.dir+"/net-conf.json",
			"--iface="+harness.Uplink, "--subnet-file=/run/flannel/subnet.env"))
		h.write("cni/10-pods.conflist", fmt.Sprintf(bridgeNetwork, network, s.prefix(i)))
	}
	for i, a := range f.agents {
		env := fmt.Sprintf("/proc/%d/root/run/flannel/subnet.env", a.h.pid)
		a.awaits("subnet of "+a.h.Name, func() bool { b, err := os.ReadFile(env); return err == nil && len(b) > 0 })
		if f.backend == "host-gw" {
			a.awaits("route to the other node", func() bool { return a.h.routesTo(s.prefix(1 - i)) })
		}
	}
}

func (f *flannel) kill() {
	for _, a := range f.agents {
		a.kill()
	}
}

func (f *flannel) uninstall(s *site) {
	for i, h := range s.hosts {
		h.mustRun("rm", "-rf", "/run/flannel", "/var/lib/cni")
		harness.Must(s.t, h.Delete("cni0"))
		h.mustRun("ip", "-6", "route", "del", s.prefix(1-i).String())
	}
}

// routes says that a bridge has its whole prefix on-link.
func (f *flannel) routes(s *site, a netip.Addr) int { return s.owner(a) }

// TestFlannel runs beside flannel 0.28 with the reference plugins bridge and host-local.
func TestFlannel(t *testing.T) {
	live(t, newSite(t, 120), &flannel{backend: "host-gw"}, modes, "pods", "node", "cluster without rules", "route", "no file")
}

// TestFlannelTunnel runs beside flannel with vxlan, while the pods' prefixes are parts of the
// link's: the kernel refuses the routes through the tunnel, since it takes their gateways
// for on-link at the uplink. Each pod is reached at its own node all the same.
func TestFlannelTunnel(t *testing.T) {
	s, p := newSite(t, 120), &flannel{backend: "vxlan"}
	s.installed(p)
	for i, a := range p.agents {
		a.awaits("refused route", func() bool {
			b, _ := os.ReadFile(a.log)
			return bytes.Contains(b, []byte("invalid argument"))
		})
		if a.h.routesTo(s.prefix(1 - i)) {
			t.Errorf("%s has a route to the other node's pods", a.h.Name)
		}
	}
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			for _, h := range s.hosts {
				harness.Run(t, h.Namespace, m.args(h)...)
			}
			s.exact(t, "pods that run", m, p)
		})
	}
}

// routesTo reports whether the host has a route for exactly a prefix.
func (h *host) routesTo(p netip.Prefix) bool {
	h.t.Helper()
	list, err := h.Link.RouteList(nil, 10) // AF_INET6
	harness.Must(h.t, err)
	for _, r := range list {
		if r.Dst != nil && r.Dst.String() == p.String() {
			return true
		}
	}
	return false
}
