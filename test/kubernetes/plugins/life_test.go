// SPDX-License-Identifier: Apache-2.0

//go:build full

package plugins

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// plugin is a network plugin as an operator installs it.
type plugin interface {
	// install starts the agents on both hosts, and returns when pods can be started. The
	// hosts may be new, with what the Nodes now say, or those of a moment before.
	install(s *site)
	// kill ends the agents.
	kill()
	// uninstall removes what the plugin has left on both hosts.
	uninstall(s *site)
	// routes returns which host the kernel's routes say has an address that no pod has, or
	// silent.
	routes(s *site, a netip.Addr) int
}

// mode is a way to configure the daemon.
type mode struct {
	name string
	// args are the daemon's arguments on a host.
	args func(h *host) []string
	// unallocated returns which host answers for an address that no pod has.
	unallocated func(s *site, p plugin, a netip.Addr) int
}

func nobody(*site, plugin, netip.Addr) int { return silent }

// modes are all ways in which addresses of pods are answered for.
var modes = []mode{
	{"pods", withRules("pods"), nobody},
	{"node", withRules("node"), func(s *site, _ plugin, a netip.Addr) int { return s.owner(a) }},
	{"cluster without rules", func(h *host) []string {
		return []string{"--config", h.ConfigFor(cluster.AdminToken, "", "")}
	}, nobody},
	{"route", func(h *host) []string {
		return []string{"--config", harness.WriteConfig(h.t, fmt.Sprintf("version: 1\nuplinks: [{interface: %s}]\nrules: [{prefix: %q, method: route}]\n", harness.Uplink, cluster.PodCIDR))}
	}, func(s *site, p plugin, a netip.Addr) int { return p.routes(s, a) }},
	{"no file", func(*host) []string { return nil }, func(s *site, p plugin, a netip.Addr) int { return p.routes(s, a) }},
}

func withRules(method string) func(h *host) []string {
	return func(h *host) []string {
		return []string{"--config", h.ConfigFor(cluster.AdminToken, "", fmt.Sprintf("rules: [{prefix: %q, method: %s}]\n", cluster.PodCIDR, method))}
	}
}

// owner returns the host that has the prefix of an address.
func (s *site) owner(a netip.Addr) int {
	for i := range s.hosts {
		if s.prefix(i).Contains(a) {
			return i
		}
	}
	return silent
}

// expected says who has to answer for which address now: for each pod its own host, for
// what no pod has whoever the mode says.
func (s *site) expected(m mode, p plugin, gone ...netip.Addr) map[netip.Addr]int {
	s.t.Helper()
	want := make(map[netip.Addr]int)
	for _, a := range append(s.unallocated(), gone...) {
		want[a] = m.unallocated(s, p, a)
	}
	for _, pod := range s.pods {
		want[pod.addr] = s.index(pod.h)
	}
	return want
}

func (s *site) index(h *host) int {
	if s.hosts[0] == h {
		return 0
	}
	return 1
}

// live goes through the life of a plugin's pods beside daemons in each mode. In those that are
// named, the nodes are installed anew at the end, for which some plugins take long.
func live(t *testing.T, s *site, p plugin, modes []mode, anew ...string) {
	t.Helper()
	s.installed(p)
	s.connected()
	for _, m := range modes {
		if !t.Run(m.name, func(t *testing.T) {
			begin := time.Now()
			s.through(t, p, m)
			if slices.Contains(anew, m.name) {
				s.renew(t, p, m)
			}
			t.Logf("%.1f s", time.Since(begin).Seconds())
		}) {
			t.FailNow()
		}
	}
}

// installed installs the plugin, and starts pods on both hosts.
func (s *site) installed(p plugin) {
	s.t.Helper()
	p.install(s)
	for i := range 3 {
		for _, h := range s.hosts {
			s.runPod(h, fmt.Sprintf("web-%s-%d", h.Name, i))
		}
	}
}

// connected waits until a pod reaches one of the other node, which shows that the plugin does
// its work.
func (s *site) connected() {
	s.t.Helper()
	from, to := s.pods[0], s.pods[1]
	patiently(s.t, "a reply of "+to.addr.String()+" to "+from.addr.String(), func() bool { return s.reaches(from.ns, to.addr) })
}

// through follows pods that begin and end, and agents that die.
func (s *site) through(t *testing.T, p plugin, m mode) {
	for _, h := range s.hosts {
		harness.Run(t, h.Namespace, m.args(h)...)
	}
	s.exact(t, "pods that run", m, p)

	late := s.runPod(s.hosts[0], "late")
	s.exact(t, "a pod that begins", m, p)
	s.endPod(late)
	s.exact(t, "a pod that ends", m, p, late.addr)

	// The agents are replaced while the pods go on.
	p.kill()
	s.exact(t, "dead agents", m, p)
	s.throughout(t, "agents that start", s.expected(m, p), func() { p.install(s) })
	s.exact(t, "agents that are back", m, p)
}

// renew installs both nodes anew, each with the other's prefix, so that addresses are used
// again on the other node.
func (s *site) renew(t *testing.T, p plugin, m mode) {
	before := make(map[netip.Addr]*host)
	for _, pod := range append([]*pod{}, s.pods...) {
		before[pod.addr] = pod.h
		s.endPod(pod)
	}
	p.kill()
	p.uninstall(s)
	s.swap()
	s.installed(p)
	s.connected()
	// Plugins that choose addresses by chance choose one that was in use sooner or later.
	reused := func() bool {
		return slices.ContainsFunc(s.pods, func(pod *pod) bool { h := before[pod.addr]; return h != nil && h != pod.h })
	}
	for i := 0; !reused(); i++ {
		s.runPod(s.hosts[i%2], fmt.Sprintf("more-%d", i))
	}
	s.exact(t, "addresses of the other node", m, p)
}

// exact waits until each address is answered for as it has to be, and the router reaches
// every pod.
func (s *site) exact(t *testing.T, what string, m mode, p plugin, gone ...netip.Addr) {
	t.Helper()
	begin := time.Now()
	s.want(t, what, s.expected(m, p, gone...))
	answers := time.Since(begin)
	for _, pod := range s.pods {
		patiently(t, what+": a reply of "+pod.addr.String()+" to the router", func() bool { return s.reaches(s.n.Router, pod.addr) })
	}
	t.Logf("%s: exact after %.1f s, all reached %.1f s later", what, answers.Seconds(), time.Since(begin).Seconds()-answers.Seconds())
}
