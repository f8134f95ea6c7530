// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// The conversion fails to compile when the two structs drift apart.
var _ = k8swatch.Needs(discover.Needs{})

func prefixes(list ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// link returns a link with addresses.
func link(name string, addresses ...string) rules.Link {
	l := rules.Link{Name: name, Index: 2, Ethernet: true, Up: true, IPv6: true}
	for _, s := range addresses {
		l.Addresses = append(l.Addresses, rules.LinkAddress{Prefix: netip.MustParsePrefix(s), Usable: true})
	}
	return l
}

// forwarding returns an uplink that the node forwards from.
func forwarding(name string, addresses ...string) discover.Uplink {
	return discover.Uplink{Interface: name, Link: link(name, addresses...), Forwards: true}
}

// texts shows rules with everything that discovery sets.
func texts(rs []rules.Rule) []string {
	var out []string
	for _, r := range rs {
		s := fmt.Sprintf("%s %s", r, strings.Join(r.Uplinks, ","))
		if r.OwnOnly {
			s += " own"
		}
		if r.Kinds != 0 {
			s += " (" + r.Kinds.String() + ")"
		}
		if r.KindsByRange {
			s += " by range"
		}
		if r.Delay > 0 {
			s += " " + r.Delay.String()
		}
		out = append(out, strings.TrimSpace(s))
	}
	return out
}

func TestUplinks(t *testing.T) {
	t.Parallel()
	named := &config.Config{Uplinks: []rules.Uplink{{Interface: "wan", Early: true}}}
	eth0, eth1, tun0, ppp0 := discover.DefaultDevice{Name: "eth0", Ethernet: true}, discover.DefaultDevice{Name: "eth1", Ethernet: true},
		discover.DefaultDevice{Name: "tun0"}, discover.DefaultDevice{Name: "ppp0"}
	tests := []struct {
		name     string
		config   *config.Config
		defaults []discover.DefaultDevice
		last     []string
		want     []string
		no       string // what NoUplink says
	}{
		{"named in the configuration", named, []discover.DefaultDevice{eth0}, []string{"eth0"}, []string{"wan"}, "no interface has an IPv6 default route"},
		{"default route", config.Discovery(), []discover.DefaultDevice{eth0}, nil, []string{"eth0"}, "no interface has an IPv6 default route"},
		{"two of them, in order of their names", config.Discovery(), []discover.DefaultDevice{eth1, eth0, eth1}, nil, []string{"eth0", "eth1"}, "no interface has an IPv6 default route"},
		{"none", config.Discovery(), nil, nil, nil, "no interface has an IPv6 default route"},
		{"none any more", config.Discovery(), nil, []string{"eth0"}, []string{"eth0"}, "no interface has an IPv6 default route"},
		{"another one", config.Discovery(), []discover.DefaultDevice{eth1}, []string{"eth0"}, []string{"eth1"}, "no interface has an IPv6 default route"},
		{"a tunnel", config.Discovery(), []discover.DefaultDevice{tun0}, nil, nil, "the IPv6 default route leads through tun0, which is not Ethernet, so nobody sends it solicitations"},
		{"a tunnel takes the default route over", config.Discovery(), []discover.DefaultDevice{tun0}, []string{"eth0"}, []string{"eth0"}, "the IPv6 default route leads through tun0, which is not Ethernet, so nobody sends it solicitations"},
		{"a tunnel beside Ethernet", config.Discovery(), []discover.DefaultDevice{tun0, eth0}, nil, []string{"eth0"}, "the IPv6 default route leads through tun0, which is not Ethernet, so nobody sends it solicitations"},
		{"two devices that are not Ethernet", config.Discovery(), []discover.DefaultDevice{ppp0, tun0, ppp0}, nil, nil, "the IPv6 default routes lead through ppp0 and tun0, which are not Ethernet, so nobody sends them solicitations"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, u := range discover.Uplinks(tt.config, tt.defaults, tt.last) {
				got = append(got, u.Interface)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("uplinks are %q, want %q", got, tt.want)
			}
			if no := discover.NoUplink(tt.defaults); no != tt.no {
				t.Errorf("NoUplink says %q, want %q", no, tt.no)
			}
		})
	}
	if got := discover.Uplinks(named, nil, nil); !got[0].Early {
		t.Error("the settings of a named uplink are lost")
	}
}

func TestOnLink(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		link   rules.Link
		routed []string
		want   []string
	}{
		{"nothing", link("eth0"), nil, nil},
		{"an address", link("eth0", "2001:db8:1::2/64"), nil, []string{"2001:db8:1::/64"}},
		{"its route is no second one", link("eth0", "2001:db8:1::2/64"), []string{"2001:db8:1::/64"}, []string{"2001:db8:1::/64"}},
		{"two addresses of one prefix", link("eth0", "2001:db8:1::2/64", "2001:db8:1::3/64"), nil, []string{"2001:db8:1::/64"}},
		{"a single address", link("eth0", "2001:db8:1::2/128"), nil, nil},
		{"a route of the operator", link("eth0", "2001:db8:1::2/128"), []string{"2001:db8:1::/64"}, []string{"2001:db8:1::/64"}},
		{"link-local", link("eth0", "fe80::1/64"), nil, nil},
		{"unique local beside global", link("eth0", "fd00::2/64", "2001:db8:1::2/64"), nil, []string{"2001:db8:1::/64", "fd00::/64"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := rules.OnLink(tt.link, prefixes(tt.routed...)); !slices.Equal(got, prefixes(tt.want...)) {
				t.Errorf("on-link are %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	written := &config.Config{Rules: []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:5::/64"), Method: rules.Static}, {Prefix: netip.MustParsePrefix("2001:db8:6::/108"), Method: rules.Services}}}
	cluster := func(c config.Config, o rules.Ownership) *config.Config {
		c.Kubernetes = &config.Kubernetes{Ownership: o}
		return &c
	}
	kinds := func(c config.Config, names ...string) *config.Config {
		c.Kubernetes = &config.Kubernetes{Services: config.ServiceSelection{Kinds: names}}
		return &c
	}
	only := config.Config{Rules: []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:6::/108"), Method: rules.Services, Kinds: rules.LoadBalancerIPs}}}
	discovery := *config.Discovery()
	eth0 := forwarding("eth0", "2001:db8:1::2/64", "fe80::2/64")
	eth1 := forwarding("eth1", "2001:db8:2::2/64")
	host := eth1
	host.Forwards = false
	absent := discover.Uplink{Interface: "eth2"}
	owner := host
	owner.Own = []netip.Prefix{netip.MustParsePrefix("2001:db8:2::/64")}
	tests := []struct {
		name     string
		config   *config.Config
		uplinks  []discover.Uplink
		services []string
		want     []string
		gaps     []string // interfaces
	}{
		{name: "of the configuration", config: written, uplinks: []discover.Uplink{host}, want: []string{"2001:db8:5::/64=static", "2001:db8:6::/108=services  (load-balancer, external-ip) by range"}},
		{name: "on-link prefixes", config: &discovery, uplinks: []discover.Uplink{eth0, eth1}, want: []string{"2001:db8:1::/64=route eth0", "2001:db8:2::/64=route eth1"}},
		{name: "the node does not forward", config: &discovery, uplinks: []discover.Uplink{host}, gaps: []string{"eth1"}},
		{name: "the node does not forward, but has addresses itself", config: &discovery, uplinks: []discover.Uplink{owner}, want: []string{"2001:db8:2::/64=route eth1 own"}, gaps: []string{"eth1"}},
		{name: "so in a cluster", config: cluster(discovery, rules.OwnershipHash), uplinks: []discover.Uplink{owner}, gaps: []string{"eth1"}},
		{name: "it does from one uplink", config: &discovery, uplinks: []discover.Uplink{eth0, host}, want: []string{"2001:db8:1::/64=route eth0"}, gaps: []string{"eth1"}},
		{name: "no global prefix", config: &discovery, uplinks: []discover.Uplink{forwarding("eth0", "fe80::2/64", "2001:db8:1::2/128")}, gaps: []string{"eth0"}},
		{name: "no interface", config: &discovery, uplinks: []discover.Uplink{absent}},
		{name: "no uplink", config: &discovery},
		{
			name: "cluster", config: cluster(discovery, rules.OwnershipHash), uplinks: []discover.Uplink{eth0}, services: []string{"fd00:10:96::/108"},
			want: []string{"2001:db8:1::/64=pods eth0 (load-balancer, external-ip)"},
		},
		{
			name: "cluster that has not answered yet", config: cluster(discovery, rules.OwnershipHash), uplinks: []discover.Uplink{eth0},
			want: []string{"2001:db8:1::/64=pods eth0 (load-balancer, external-ip)"},
		},
		{
			name: "services in the on-link prefix", config: cluster(discovery, rules.OwnershipHash), uplinks: []discover.Uplink{eth0}, services: []string{"2001:db8:1::/64"},
			want: []string{"2001:db8:1::/64=services  (load-balancer, external-ip)"},
		},
		{
			name: "anycast", config: cluster(discovery, rules.OwnershipAnycast), uplinks: []discover.Uplink{eth0}, services: []string{"fd00:10:96::/108"},
			want: []string{"2001:db8:1::/64=pods eth0"},
		},
		{
			name: "anycast, services on-link", config: cluster(discovery, rules.OwnershipAnycast), uplinks: []discover.Uplink{eth0}, services: []string{"2001:db8:1:0:e::/108"},
			want: []string{"2001:db8:1:0:e::/108=services  (load-balancer, external-ip) 1s", "2001:db8:1::/64=pods eth0"},
		},
		{name: "anycast, of the configuration", config: cluster(*written, rules.OwnershipAnycast), want: []string{"2001:db8:5::/64=static", "2001:db8:6::/108=services  (load-balancer, external-ip) by range 1s"}},
		{name: "cluster, the node does not forward", config: cluster(discovery, rules.OwnershipHash), uplinks: []discover.Uplink{host}, services: []string{"fd00:10:96::/108"}, gaps: []string{"eth1"}},
		{
			name: "cluster, it does from one uplink", config: cluster(discovery, rules.OwnershipHash), uplinks: []discover.Uplink{host, eth0, absent}, services: []string{"fd00:10:96::/108"},
			want: []string{"2001:db8:1::/64=pods eth0 (load-balancer, external-ip)"}, gaps: []string{"eth1"},
		},
		{
			name: "services on-link at one uplink", config: cluster(discovery, rules.OwnershipHash), uplinks: []discover.Uplink{eth0, eth1}, services: []string{"2001:db8:2:0:e::/108", "fd00:10:96::/108"},
			want: []string{"2001:db8:2:0:e::/108=services eth1 (load-balancer, external-ip)", "2001:db8:1::/64=pods eth0 (load-balancer, external-ip)", "2001:db8:2::/64=pods eth1 (load-balancer, external-ip)"},
		},
		{
			name: "a wider range that has the on-link prefix", config: cluster(discovery, rules.OwnershipHash), uplinks: []discover.Uplink{eth0}, services: []string{"2001:db8::/32"},
			want: []string{"2001:db8::/32=services  (load-balancer, external-ip)", "2001:db8:1::/64=pods eth0 (load-balancer, external-ip)"},
		},
		{
			name: "the configuration names the kinds", config: kinds(discovery, "cluster-ip"), uplinks: []discover.Uplink{eth0}, services: []string{"2001:db8:1:0:e::/108"},
			want: []string{"2001:db8:1:0:e::/108=services  (cluster-ip)", "2001:db8:1::/64=pods eth0 (cluster-ip)"},
		},
		{
			name: "of the configuration, around the cluster IPs", config: cluster(*written, rules.OwnershipHash), services: []string{"2001:db8:6::/112"},
			want: []string{"2001:db8:5::/64=static", "2001:db8:6::/108=services  (load-balancer, external-ip) by range"},
		},
		{
			name: "of the configuration, inside of the cluster IPs", config: cluster(*written, rules.OwnershipHash), services: []string{"2001:db8:6::/108"},
			want: []string{"2001:db8:5::/64=static", "2001:db8:6::/108=services  (cluster-ip, load-balancer, external-ip) by range"},
		},
		{
			name: "of the configuration, which names the kinds", config: kinds(*written, "cluster-ip", "external-ip"),
			want: []string{"2001:db8:5::/64=static", "2001:db8:6::/108=services  (cluster-ip, external-ip)"},
		},
		{
			name: "of the configuration, whose rule names the kinds", config: kinds(only, "external-ip"), services: []string{"2001:db8:6::/108"},
			want: []string{"2001:db8:6::/108=services  (load-balancer)"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rs := discover.Rules(tt.config, tt.uplinks, prefixes(tt.services...))
			if got := texts(rs); !slices.Equal(got, tt.want) {
				t.Errorf("rules are %q, want %q", got, tt.want)
			}
			if _, err := rules.Compile(rs); err != nil {
				t.Error(err)
			}
			var gaps []string
			for _, g := range discover.Gaps(tt.config, tt.uplinks) {
				gaps = append(gaps, g.Interface)
				if !strings.Contains(g.Why, g.Interface) || strings.HasSuffix(g.Why, ".") {
					t.Errorf("%s: %q", g.Interface, g.Why)
				}
			}
			if !slices.Equal(gaps, tt.gaps) {
				t.Errorf("without rules are %q, want %q", gaps, tt.gaps)
			}
		})
	}
	if written.Rules[1].Delay != 0 {
		t.Error("the configuration was changed")
	}
}

func TestNeedsOf(t *testing.T) {
	t.Parallel()
	with := func(o rules.Ownership, methods ...rules.Method) *config.Config {
		c := &config.Config{Kubernetes: &config.Kubernetes{Ownership: o}}
		for _, m := range methods {
			c.Rules = append(c.Rules, rules.Rule{Method: m})
		}
		return c
	}
	found := func(o rules.Ownership) *config.Config {
		c := with(o)
		c.DiscoverRules = true
		return c
	}
	tests := []struct {
		name   string
		config *config.Config
		want   discover.Needs
	}{
		{"no cluster", config.Discovery(), discover.Needs{}},
		{"discovered rules", found(rules.OwnershipHash), discover.Needs{Pods: true, Services: true, ServiceCIDRs: true, Leases: true}},
		{"discovered rules, every node answers", found(rules.OwnershipAll), discover.Needs{Pods: true, Services: true, ServiceCIDRs: true}},
		{"rules that need none", with(rules.OwnershipHash, rules.Static, rules.Route), discover.Needs{}},
		{"pods", with(rules.OwnershipHash, rules.Pods), discover.Needs{Pods: true}},
		{"node", with(rules.OwnershipHash, rules.Node), discover.Needs{Prefixes: true}},
		{"services with one owner", with(rules.OwnershipHash, rules.Services), discover.Needs{Services: true, ServiceCIDRs: true, Leases: true}},
		{"services with anycast", with(rules.OwnershipAnycast, rules.Services), discover.Needs{Services: true, ServiceCIDRs: true}},
	}
	for _, tt := range tests {
		if got := discover.NeedsOf(tt.config); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestSameRule(t *testing.T) {
	t.Parallel()
	base := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Route, Uplinks: []string{"eth0"}}
	changes := map[string]func(*rules.Rule){
		"prefix":   func(r *rules.Rule) { r.Prefix = netip.MustParsePrefix("2001:db8::/65") },
		"method":   func(r *rules.Rule) { r.Method = rules.Probe },
		"uplinks":  func(r *rules.Rule) { r.Uplinks = nil },
		"kinds":    func(r *rules.Rule) { r.Kinds = rules.ClusterIPs },
		"delay":    func(r *rules.Rule) { r.Delay = 1 },
		"devices":  func(r *rules.Rule) { r.Devices = []string{"br0"} },
		"timing":   func(r *rules.Rule) { r.Timing.Retries = 1 },
		"autowire": func(r *rules.Rule) { r.Autowire = true },
		"dad":      func(r *rules.Rule) { r.DAD = rules.DADIgnore },
		"while":    func(r *rules.Rule) { r.While.Interface = "wg0" },
		"waiting":  func(r *rules.Rule) { r.Waiting = true },
		"template": func(r *rules.Rule) { r.Template, _ = rules.ParseTemplate("uplink") },
	}
	if same := base; !discover.SameRule(base, same) {
		t.Error("a rule is not the same as itself")
	}
	for name, change := range changes {
		other := base
		if change(&other); discover.SameRule(base, other) {
			t.Errorf("%s does not count", name)
		}
	}
}
