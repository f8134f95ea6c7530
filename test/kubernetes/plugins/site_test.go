// SPDX-License-Identifier: Apache-2.0

//go:build full

package plugins

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// network is the name of the plugin's network in its CNI configuration.
const network = "pods"

// site is a cluster of two nodes that are hosts of a plugin, on one link with a router.
type site struct {
	t     *testing.T
	c     *cluster.Cluster
	n     *cluster.Network
	port  *harness.Port
	hosts [2]*host
	pods  []*pod
	// prefixes are those of the two nodes, of [cluster.PodCIDR].
	prefixes [2]netip.Prefix
	// annotations are where the Nodes say which prefix they have, if not in podCIDRs.
	annotations []string
	// given says which of the prefixes each host has.
	given [2]int
}

// newSite makes a cluster whose nodes have prefixes of some length, in podCIDRs or in
// annotations.
func newSite(t *testing.T, bits int, annotations ...string) *site {
	t.Helper()
	c := cluster.Start(t)
	s := &site{t: t, c: c, n: cluster.NewNetwork(t, c, 2), annotations: annotations, given: [2]int{0, 1}}
	for i, a := range []string{"2001:db8:1:0:f::", "2001:db8:1:0:f::100"} {
		s.prefixes[i] = netip.PrefixFrom(netip.MustParseAddr(a), bits)
	}
	s.port = harness.OpenPort(t, s.n.Router, harness.RouterPort)
	for i, n := range s.n.Nodes {
		s.hosts[i] = newHost(t, n)
		s.give(i)
	}
	return s
}

// prefix returns the prefix that a host has.
func (s *site) prefix(host int) netip.Prefix { return s.prefixes[s.given[host]] }

// give writes a host's prefix into its Node, as the controller of node IPAM does, or into
// its annotations. The first annotation is one that every Node has, and without any of them
// flannel panics.
func (s *site) give(host int) {
	s.t.Helper()
	prefix := s.prefix(host).String()
	annotations, spec := map[string]string{"node.alpha.kubernetes.io/ttl": "0"}, map[string]any{}
	for _, name := range s.annotations {
		annotations[name] = prefix
	}
	if len(s.annotations) == 0 {
		spec = map[string]any{"podCIDR": prefix, "podCIDRs": []string{prefix}}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}, "spec": spec})
	harness.Must(s.t, err)
	_, err = s.c.Client.CoreV1().Nodes().Patch(context.Background(), s.hosts[host].Name, "application/merge-patch+json", patch, metav1.PatchOptions{})
	harness.Must(s.t, err)
}

// swap replaces both Nodes: each gets the prefix that the other had.
func (s *site) swap() {
	s.t.Helper()
	s.given[0], s.given[1] = s.given[1], s.given[0]
	for i, h := range s.hosts {
		harness.Must(s.t, s.c.Client.CoreV1().Nodes().Delete(context.Background(), h.Name, metav1.DeleteOptions{}))
		s.c.CreateNode(h.Name, h.Addr)
		s.give(i)
	}
}

// searchPath is the PATH of the plugins' programs.
func searchPath(t *testing.T) string {
	t.Helper()
	return strings.Join([]string{
		cached(t, "plugins", "bin"), cached(t, "plugins", "debian", "usr", "sbin"), cached(t, "plugins", "debian", "usr", "lib", "llvm-19", "bin"),
		cached(t, "netfilter", "bin"), os.Getenv("PATH"),
	}, ":")
}

// environment is that of the plugins' agents, which call programs of Debian's packages.
func (h *host) environment() []string {
	h.t.Helper()
	libs, err := filepath.Glob(filepath.Join(cached(h.t, "plugins", "debian"), "usr", "lib", "*-linux-gnu"))
	harness.Must(h.t, err)
	return []string{
		"PATH=" + searchPath(h.t), "LD_LIBRARY_PATH=" + strings.Join(append(libs, cached(h.t, "netfilter", "lib")), ":"),
		"XTABLES_LIBDIR=" + cached(h.t, "netfilter", "xtables"), "NODE_NAME=" + h.Name,
	}
}

// patiently waits for what several programs bring about on a loaded machine.
func patiently(t *testing.T, what string, f func() bool) {
	t.Helper()
	const patience = 2 * time.Minute
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("no %s after %s", what, patience)
}

// reaches reports whether an address answers to a station. The router makes, probes and
// replaces its neighbor entries by itself.
func (s *site) reaches(from *lab.Namespace, a netip.Addr) bool {
	s.t.Helper()
	p, err := from.NewPinger(a)
	harness.Must(s.t, err)
	defer p.Close()
	_, err = p.Ping(context.Background(), time.Second)
	return err == nil
}
