// SPDX-License-Identifier: Apache-2.0

package inspect_test

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// routing is what the tests' kernel routes.
type routing struct {
	behind []netip.Prefix
	own    []netip.Prefix // has the host itself, and nobody behind it
	byRA   bool
	policy []string
}

func (r routing) LeadsBehind(p netip.Prefix) bool {
	return slices.ContainsFunc(r.behind, func(b netip.Prefix) bool { return b.Overlaps(p) })
}
func (r routing) Own(ps []netip.Prefix) []netip.Prefix { return ps }
func (r routing) OnlyOwn(p netip.Prefix) bool {
	return slices.ContainsFunc(r.own, func(o netip.Prefix) bool { return o.Overlaps(p) })
}
func (r routing) LeadsBack(p netip.Prefix) bool { return !r.LeadsBehind(p) }
func (r routing) DefaultByRA(index int) bool    { return r.byRA && index == 2 }
func (r routing) Policy() []string              { return r.policy }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func rule(p string, m rules.Method) rules.Rule { return rules.Rule{Prefix: prefix(p), Method: m} }

// good returns an uplink that nothing is wrong with.
func good() inspect.Uplink {
	r := routing{behind: []netip.Prefix{prefix("2001:db8:1:0:f::/80")}}
	return inspect.Uplink{
		Config: rules.Uplink{Interface: "eth0"},
		Link: rules.Link{
			Name: "eth0", Index: 2, MAC: [6]byte{2, 0, 0, 0, 0, 2}, Ethernet: true, Up: true, IPv6: true, Forwarding: true,
			Addresses: []rules.LinkAddress{{Prefix: prefix("2001:db8:1::2/64"), Usable: true}, {Prefix: prefix("fe80::2/64"), Usable: true}},
		},
		Forwards: true, OnLink: []netip.Prefix{prefix("2001:db8:1::/64")},
		Rules:  []rules.Rule{rule("2001:db8:1:0:f::/120", rules.Route)},
		Behind: r, Routes: r,
	}
}

// proxy gives the kernel a proxy entry, for an address with that fate.
func proxy(u *inspect.Uplink, fate ndp.Reason) {
	u.Host.Proxied, u.Host.ProxyNDP = []netip.Addr{netip.MustParseAddr("2001:db8:1:0:f::7")}, true
	u.Decide = func(netip.Addr) (ndp.Reason, bool) { return fate, true }
}

func TestFindings(t *testing.T) {
	t.Parallel()
	const (
		warning = "warning "
		info    = "info "
	)
	tests := []struct {
		name   string
		change func(*inspect.Uplink)
		want   []string // severity and reason
		says   []string // parts of what the findings say
	}{
		{"good host", func(*inspect.Uplink) {}, nil, nil},
		{"no interface", func(u *inspect.Uplink) { u.Link, u.Forwards = rules.Link{}, false }, nil, nil},
		{"forwarding is off", func(u *inspect.Uplink) { u.Forwards, u.Link.Forwarding = false, false }, []string{warning + "forwarding_off"}, []string{"arrive and are dropped", "net.ipv6.conf.all.forwarding=1"}},
		{
			"forwarding is off, and rules are discovered", func(u *inspect.Uplink) {
				u.Forwards, u.Link.Forwarding, u.Discovered, u.Rules = false, false, true, nil
				u.Gap = "rules are not discovered for eth0 because the node does not forward"
			}, []string{warning + "forwarding_off"}, []string{"nothing is answered on eth0"},
		},
		{
			"forwarding is off, and the rules are for what the host itself has", func(u *inspect.Uplink) {
				u.Forwards, u.Link.Forwarding = false, false
				u.Behind = routing{own: []netip.Prefix{prefix("2001:db8:1:0:f::/80")}, behind: []netip.Prefix{prefix("2001:db8:1:0:f::/80")}}
			}, []string{info + "forwarding_off"}, []string{"but what this host itself has"},
		},
		{
			"forwarding is off, and the host itself has a part of what is behind", func(u *inspect.Uplink) {
				u.Forwards, u.Link.Forwarding, u.Discovered = false, false, true
				u.Rules[0].OwnOnly = true
			}, []string{warning + "forwarding_off"}, []string{"nothing is answered on eth0 but for what this host itself has"},
		},
		{"the interface is a host to its neighbors", func(u *inspect.Uplink) { u.Link.Forwarding = false }, []string{info + "forwarding_off"}, []string{"R flag"}},
		{"so, and the operator wants the R flag", func(u *inspect.Uplink) { u.Link.Forwarding, u.Config.Router = false, rules.RouterTrue }, nil, nil},
		{"IPv6 is off", func(u *inspect.Uplink) { u.Link.IPv6, u.Forwards = false, false }, nil, nil},
		{
			"default route by advertisements", func(u *inspect.Uplink) {
				u.Host.AcceptRA, u.Routes = "1", routing{byRA: true}
			}, []string{warning + "accept_ra"}, []string{"eth0.accept_ra=2"},
		},
		{"a program accepts the advertisements", func(u *inspect.Uplink) { u.Host.AcceptRA, u.Routes = "0", routing{byRA: true} }, nil, nil},
		{"kernel proxy", func(u *inspect.Uplink) { proxy(u, ndp.Answered) }, []string{warning + "kernel_proxy"}, []string{"get two answers", "ip -6 neigh del proxy 2001:db8:1:0:f::7 dev eth0"}},
		{"kernel proxy for what is asked first", func(u *inspect.Uplink) { proxy(u, ndp.Probing) }, []string{warning + "kernel_proxy"}, []string{"ip -6 neigh del proxy 2001:db8:1:0:f::7 dev eth0"}},
		{
			"kernel proxy for what nobody else answers for", func(u *inspect.Uplink) { proxy(u, ndp.Silent(rules.NoRoute)) },
			[]string{info + "kernel_proxy"}, []string{"does not answer for (no_route", "keep the entry, or first route the address", "2001:db8:1:0:f::7/128 dev DEVICE", `only when "ndproxyd explain 2001:db8:1:0:f::7" says`},
		},
		{"kernel proxy, and only a daemon knows", func(u *inspect.Uplink) {
			proxy(u, ndp.Answered)
			u.Decide = func(netip.Addr) (ndp.Reason, bool) { return ndp.Silent(rules.NotLocal), false }
		}, []string{warning + "kernel_proxy"}, []string{`if "ndproxyd explain 2001:db8:1:0:f::7" says that the address is answered for: ip -6 neigh del proxy`}},
		{"kernel proxy that is off", func(u *inspect.Uplink) {
			proxy(u, ndp.Answered)
			u.Host.ProxyNDP = false
		}, []string{info + "kernel_proxy"}, []string{"nothing has to be done"}},
		{"kernel proxy outside of the rules", func(u *inspect.Uplink) {
			proxy(u, ndp.Answered)
			u.Host.Proxied = []netip.Addr{netip.MustParseAddr("2001:db8:1::7")}
		}, nil, nil},
		{
			"kernel proxy for what is denied", func(u *inspect.Uplink) {
				proxy(u, ndp.Silent(rules.Denied))
				u.Rules = []rules.Rule{rule("2001:db8:1:0:f::/124", rules.Deny), rule("2001:db8:1:0:f::80/121", rules.Route)}
			}, nil, nil,
		},
		{"port of a bridge", func(u *inspect.Uplink) { u.Link.Master = "br0" }, []string{warning + "bridge_port"}, []string{"name br0 as the uplink"}},
		{"port of Open vSwitch", func(u *inspect.Uplink) { u.Link.Master = "ovs-system" }, []string{warning + "bridge_port"}, []string{"name the internal port of the Open vSwitch bridge"}},
		{"no rule", func(u *inspect.Uplink) { u.Rules = nil }, []string{warning + "no_rules"}, []string{"no rule of the configuration holds on eth0"}},
		{"deny rules only", func(u *inspect.Uplink) { u.Rules = []rules.Rule{rule("2001:db8:1::/64", rules.Deny)} }, []string{warning + "no_rules"}, []string{"are deny rules"}},
		{
			"no rule could be discovered", func(u *inspect.Uplink) { u.Rules, u.Discovered, u.Gap = nil, true, "eth0 has no prefix" },
			[]string{warning + "no_rules"}, []string{"eth0 has no prefix"},
		},
		{"rule off the link", func(u *inspect.Uplink) { u.Rules = append(u.Rules, rule("2001:db8:77::/120", rules.Pods)) }, []string{warning + "not_on_link"}, []string{"in 2001:db8:77::/120"}},
		{"rule off the link for what is behind", func(u *inspect.Uplink) {
			r := routing{behind: []netip.Prefix{prefix("2001:db8::/32")}}
			u.Behind, u.Rules = r, append(u.Rules, rule("2001:db8:77::/120", rules.Route))
		}, []string{info + "not_on_link"}, []string{"in 2001:db8:77::/120"}},
		{"unique local rule, of which no prefix is known", func(u *inspect.Uplink) { u.Rules = append(u.Rules, rule("fd00::/108", rules.Services)) }, nil, nil},
		{"nothing behind the node", func(u *inspect.Uplink) { u.Rules = append(u.Rules, rule("2001:db8:1:0:e::/120", rules.Static)) }, []string{warning + "no_route_behind"}, []string{"leave by the uplink again or are refused", "whether they do takes root to see", "ip -6 route add 2001:db8:1:0:e::/120 dev DEVICE"}},
		{
			"many rules with nothing behind the node", func(u *inspect.Uplink) {
				for _, p := range []string{"a", "b", "c", "d", "e"} {
					u.Rules = append(u.Rules, rule("2001:db8:1:0:"+p+"::/120", rules.Route))
				}
			}, []string{warning + "no_route_behind"}, []string{"2001:db8:1:0:c::/120 and 2 more"},
		},
		{"probe on devices of its own", func(u *inspect.Uplink) {
			r := rule("2001:db8:1:0:e::/120", rules.Probe)
			r.Devices = []string{"br0"}
			u.Rules = append(u.Rules, r)
		}, nil, nil},
		{"discovered rule with nothing behind the node yet", func(u *inspect.Uplink) {
			u.Discovered, u.Rules, u.Behind = true, []rules.Rule{rule("2001:db8:1::/64", rules.Route)}, routing{}
		}, nil, nil},
		{"filter of tc", func(u *inspect.Uplink) { u.Host.Ingress = "filters of tc look at frames" }, []string{warning + "ingress_filter"}, []string{"filters of tc look at frames on eth0"}},
		{"filter of tc behind an early socket", func(u *inspect.Uplink) { u.Host.Ingress, u.Config.Early = "filters of tc look at frames", true }, nil, nil},
		{"Cilium's filter", func(u *inspect.Uplink) {
			u.Host.Ingress, u.Host.Cilium, u.Host.CiliumSeen = "filters of tc look at frames", true, true
		}, []string{info + "cilium"}, []string{"Cilium answers on eth0 for the pods of this node itself, by its program on eth0", "membership in the pods' groups"}},
		{"Cilium, whose program cannot be seen", func(u *inspect.Uplink) { u.Host.Cilium = true }, []string{info + "cilium"}, []string{"no solicitation for it arrives"}},
		{"Cilium and an early socket", func(u *inspect.Uplink) { u.Host.Cilium, u.Config.Early = true, true }, []string{info + "cilium"}, []string{"answered twice"}},
		{"Cilium, and rules for services only", func(u *inspect.Uplink) {
			u.Host.Cilium, u.Rules = true, []rules.Rule{rule("2001:db8:9::/112", rules.Services)}
		}, []string{warning + "not_on_link"}, nil},
		{"Cilium, and a rule of the method route", func(u *inspect.Uplink) {
			u.Host.Cilium, u.Behind = true, routing{}
		}, []string{warning + "no_route_behind", info + "cilium"}, []string{`set "method: pods" for 2001:db8:1:0:f::/120`}},
		{"pods of an encapsulated network on the link", func(u *inspect.Uplink) {
			u.Host.Tunnels = []hostwatch.Tunnel{{Name: "flannel-v6.1", Address: netip.MustParseAddr("2001:db8:1:0:f::")}}
		}, []string{warning + "tunnel_on_link"}, []string{"flannel-v6.1 has the address 2001:db8:1:0:f::, which is in the on-link prefix 2001:db8:1::/64 of eth0", "host-gw"}},
		{"an encapsulated network elsewhere", func(u *inspect.Uplink) {
			u.Host.Tunnels = []hostwatch.Tunnel{{Name: "vxlan-v6.calico", Address: netip.MustParseAddr("2001:db8:2::1")}}
		}, nil, nil},
		{"XDP", func(u *inspect.Uplink) { u.Host.XDP, u.Config.Early = true, true }, []string{warning + "ingress_filter"}, nil},
		{"another station", func(u *inspect.Uplink) { u.Conflicts = 1 }, []string{warning + "another_responder"}, []string{"for 1 address of"}},
		{"other stations", func(u *inspect.Uplink) { u.Conflicts = 7 }, []string{warning + "another_responder"}, []string{"for 7 addresses of"}},
		{"neighbors in a rule for the link's prefix", func(u *inspect.Uplink) { u.Neighbors = 2 }, []string{info + "another_responder"}, []string{"have 2 addresses of"}},
		{"errors of the host before the start", func(u *inspect.Uplink) { u.Host.Unreachables = hostwatch.Unreachables{Index: 2, Sent: math.MaxUint64} }, nil, nil},
		{"errors beside unicast answers", func(u *inspect.Uplink) { u.UnicastErrors = 3 }, []string{info + "unicast_errors"}, []string{"in the last 10 minutes", "up to 3 ICMPv6 errors", "nothing has to be done"}},
		{"answers of XDP", func(u *inspect.Uplink) { u.Host.XDP, u.FastPath = true, &status.FastPath{Way: "xdp"} }, nil, nil},
		{"answers of XDP behind any driver", func(u *inspect.Uplink) { u.Host.XDP, u.FastPath = true, &status.FastPath{Way: "xdp-generic"} }, nil, nil},
		{
			"XDP of somebody else", func(u *inspect.Uplink) {
				u.Host.XDP, u.Config.FastPath = true, rules.FastPathXDP
				u.FastPath = &status.FastPath{Way: "tc", FellBack: true, Why: "the XDP hook is taken by xdpfilt"}
			}, []string{warning + "ingress_filter", warning + "fast_path"}, []string{"fast_path asks for xdp on eth0, and tc answers: the XDP hook is taken by xdpfilt", `"fast_path: auto"`},
		},
		{
			"no program, and one was asked for", func(u *inspect.Uplink) {
				u.Config.FastPath, u.FastPath = rules.FastPathTC, &status.FastPath{Way: "packet-socket", FellBack: true, Why: "there is no bpffs"}
			}, []string{warning + "fast_path"}, []string{"fast_path asks for tc on eth0, and the packet socket answers: there is no bpffs", "only while the daemon runs"},
		},
		{"no program, and none was asked for", func(u *inspect.Uplink) { u.FastPath = &status.FastPath{Way: "packet-socket", Why: "there is no bpffs"} }, nil, nil},
		{"the program that was asked for", func(u *inspect.Uplink) {
			u.Config.FastPath, u.FastPath = rules.FastPathTC, &status.FastPath{Way: "tc", Pinned: "/sys/fs/bpf/ndproxyd/1/eth0"}
		}, nil, nil},
		{"a program is asked for, and no daemon runs", func(u *inspect.Uplink) { u.Config.FastPath = rules.FastPathTC }, nil, nil},
		{
			"a program is asked for, and a limit that it does not count", func(u *inspect.Uplink) { u.Config.FastPath, u.Config.LimitPerAsker = rules.FastPathTC, 5 },
			[]string{warning + "fast_path"}, []string{"limit_per_asker leaves every solicitation to the packet socket", "remove limit_per_asker, or fast_path"},
		},
		{"a limit alone", func(u *inspect.Uplink) { u.Config.LimitPerAsker = 5 }, nil, nil},
		{
			"a program that is not pinned", func(u *inspect.Uplink) { u.FastPath = &status.FastPath{Way: "tc", Unpinned: "the bpffs is full"} },
			[]string{info + "fast_path"}, []string{"the program that answers on eth0 is not pinned: the bpffs is full", "while the daemon restarts"},
		},
		{
			"a program that an earlier daemon has left", func(u *inspect.Uplink) {
				u.FastPath = &status.FastPath{Way: "packet-socket", Left: "the filter ndproxyd at tc ingress"}
			}, []string{info + "fast_path"}, []string{"left a program attached on eth0: the filter", "ndproxyd detach"},
		},
		{"errors, and unicast solicitations are consumed", func(u *inspect.Uplink) { u.UnicastErrors, u.Config.ConsumeUnicast = 3, true }, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := good()
			tt.change(&u)
			found := inspect.Findings(u)
			var (
				got []string
				all strings.Builder
			)
			for _, f := range found {
				got = append(got, string(f.Severity)+" "+f.Reason)
				all.WriteString(f.Problem + "\n" + f.Effect + "\n" + f.Remedy + "\n")
				if f.Interface != "eth0" || f.Problem == "" || f.Effect == "" || f.Remedy == "" {
					t.Errorf("incomplete: %+v", f)
				}
				if f.Severity == inspect.Warning && !slices.Contains(inspect.Reasons(), f.Reason) {
					t.Errorf("the metric has no %s", f.Reason)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
			for _, part := range tt.says {
				if !strings.Contains(all.String(), part) {
					t.Errorf("no %q in:\n%s", part, &all)
				}
			}
		})
	}
}

// TestPolicy names what is not followed, for information.
func TestPolicy(t *testing.T) {
	t.Parallel()
	unsure := []string{"9: fwmark 0x200/0xf00 lookup 2004", "30: from 2001:db8:9::/48 lookup 102"}
	for method, want := range map[rules.Method]int{rules.Route: 1, rules.Probe: 1, rules.Static: 0} {
		u := good()
		u.Routes, u.Rules = routing{policy: unsure}, []rules.Rule{rule("2001:db8:1:0:f::/120", method)}
		found := inspect.Findings(u)
		if len(found) != want || want > 0 && (found[0].Severity != inspect.Info || found[0].Reason != "policy_rules" || !strings.Contains(found[0].Problem, strings.Join(unsure, "; "))) {
			t.Errorf("%s: found %+v", method, found)
		}
		u.Routes = routing{}
		if found := inspect.Findings(u); len(found) > 0 {
			t.Errorf("%s, without such rules: found %+v", method, found)
		}
	}
}

// TestContested has other stations use addresses of rules. One that lives on the link
// is heard by a single question, such as a probe for the router, and is no conflict.
func TestContested(t *testing.T) {
	t.Parallel()
	wide, part, exact := rule("2001:db8:1::/64", rules.Probe), rule("2001:db8:1:0:e::/80", rules.Static), rule("2001:db8:1:0:f::7/128", rules.Route)
	denied := rule("2001:db8:1:0:f::/80", rules.Deny)
	link := []netip.Prefix{prefix("2001:db8:1::/64")}
	tests := []struct {
		name                 string
		address              string
		rules                []rules.Rule
		onLink               []netip.Prefix
		conflicts, neighbors int
	}{
		{"a neighbor in a rule for the link's prefix", "2001:db8:1::1", []rules.Rule{wide}, link, 0, 1},
		{"the same where the rule covers more than the link's prefix", "2001:db8:1::1", []rules.Rule{rule("2001:db8::/32", rules.Route)}, link, 0, 1},
		{"a part that is set aside", "2001:db8:1:0:e::1", []rules.Rule{wide, part}, link, 1, 0},
		{"an exact rule", "2001:db8:1:0:f::7", []rules.Rule{wide, denied, exact}, link, 1, 0},
		{"a deny rule", "2001:db8:1:0:f::1", []rules.Rule{wide, denied}, link, 0, 0},
		{"no rule", "2001:db8:9::1", []rules.Rule{wide}, link, 0, 0},
		{"a rule for a prefix that is not on-link", "2001:db8:1::1", []rules.Rule{wide}, nil, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conflicts, neighbors := inspect.Contested(slices.Values([]netip.Addr{netip.MustParseAddr(tt.address)}), tt.rules, tt.onLink)
			if conflicts != tt.conflicts || neighbors != tt.neighbors {
				t.Errorf("%d conflicts and %d neighbors, want %d and %d", conflicts, neighbors, tt.conflicts, tt.neighbors)
			}
		})
	}
}

func TestHolding(t *testing.T) {
	t.Parallel()
	rs := []rules.Rule{rule("2001:db8::/64", rules.Static), {Prefix: prefix("2001:db8:1::/64"), Uplinks: []string{"eth1"}}}
	if got := inspect.Holding(rs, "eth0"); len(got) != 1 || len(rs) != 2 || !rs[1].Covers("eth1") {
		t.Errorf("eth0: %v", got)
	}
	if got := inspect.Holding(rs, "eth1"); len(got) != 2 {
		t.Errorf("eth1: %v", got)
	}
}

// The routes of the kernel are what findings ask.
var (
	_ inspect.Judge  = (*behind.Judge)(nil)
	_ inspect.Routes = (*hostwatch.Routes)(nil)
)
