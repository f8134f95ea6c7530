// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// policy makes a policy rule of the node.
func policy(priority, table int, mods ...func(*netlink.Rule)) *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Priority, r.Table = netlink.FAMILY_V6, priority, table
	for _, mod := range mods {
		mod(r)
	}
	return r
}

// arriving selects packets that arrive on a device.
func arriving(device string) func(*netlink.Rule) { return func(r *netlink.Rule) { r.IifName = device } }

// refusing makes a rule end the search.
func refusing(r *netlink.Rule) { r.Type = unix.RTN_UNREACHABLE }

// suppressing lets routes up to a length not count.
func suppressing(n int) func(*netlink.Rule) { return func(r *netlink.Rule) { r.SuppressPrefixlen = n } }

// destined selects packets to a prefix.
func destined(t *testing.T, prefix string) func(*netlink.Rule) {
	t.Helper()
	dst, err := netlink.ParseIPNet(prefix)
	harness.Must(t, err)
	return func(r *netlink.Rule) { r.Dst = dst }
}

// inTable puts a route into a table.
func inTable(id int) func(*netlink.Route) { return func(r *netlink.Route) { r.Table = id } }

// wantReached resolves the pod as the router does, and pings it.
func wantReached(t *testing.T, router *lab.Namespace, want bool) {
	t.Helper()
	p, err := router.NewPinger(conformance.Pod)
	harness.Must(t, err)
	defer p.Close()
	end := time.Now().Add(harness.Patience)
	for tries := 0; time.Now().Before(end) && (want || tries < 3); tries++ {
		if _, err = p.Ping(context.Background(), 200*time.Millisecond); err == nil {
			break
		}
	}
	if (err == nil) == want {
		return
	}
	t.Errorf("reached is %t: %v", err == nil, err)
}

// forget makes the router resolve anew.
func forget(t *testing.T, router *lab.Namespace, device string) {
	t.Helper()
	link, err := router.Link.LinkByName(device)
	harness.Must(t, err)
	_ = router.Link.NeighDel(&netlink.Neigh{LinkIndex: link.Attrs().Index, Family: netlink.FAMILY_V6, IP: conformance.Pod.AsSlice()})
}

// podIn is addPod with the pod's route in a table alone.
func podIn(t *testing.T, n *harness.Network, table int) {
	t.Helper()
	addPod(t, n, conformance.Pod)
	route(t, n.Node, conformance.Pod.String()+"/128", "pod5", n.Node.Link.RouteDel)
	route(t, n.Node, conformance.Pod.String()+"/128", "pod5", n.Node.Link.RouteAdd, inTable(table))
}

// TestPolicyRules changes policy rules and tables step by step, asks for an address
// after each as a router does, and pings what is answered for.
func TestPolicyRules(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	node := n.Node
	harness.Must(t, node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
	podIn(t, n, 100)
	d := harness.Run(t, node, "--interface", harness.Uplink, "--rule", routeRule)
	a := newAsker(t, n)
	add := func(r *netlink.Rule) func() { return func() { harness.Must(t, node.Link.RuleAdd(r)) } }
	del := func(r *netlink.Rule) func() { return func() { harness.Must(t, node.Link.RuleDel(r)) } }
	put := func(prefix, dev string, mods ...func(*netlink.Route)) func() {
		return func() { route(t, node, prefix, dev, node.Link.RouteAdd, mods...) }
	}
	drop := func(prefix, dev string, mods ...func(*netlink.Route)) func() {
		return func() { route(t, node, prefix, dev, node.Link.RouteDel, mods...) }
	}
	throw := func(r *netlink.Route) { r.Type = unix.RTN_THROW }
	var (
		ours   = policy(100, 100, arriving(harness.Uplink))
		others = policy(100, 100, arriving("pod5"))
		to     = policy(110, 100, destined(t, conformance.PodPrefix.String()))
		away   = policy(110, 100, destined(t, "2001:db8:7::/48"))
		notTo  = policy(110, 100, destined(t, "2001:db8:7::/48"), func(r *netlink.Rule) { r.Invert = true })
		short  = policy(120, 100, suppressing(127))
		host   = policy(120, 100, suppressing(128))
		every  = policy(130, 100)
		refuse = policy(90, 0, arriving(harness.Uplink), refusing)
		jump   = policy(80, 0, arriving(harness.Uplink), func(r *netlink.Rule) { r.Goto = 32766 })
		socket = policy(60, 101, func(r *netlink.Rule) { r.OifName = harness.Uplink })
		marks  = policy(70, 101, func(r *netlink.Rule) { r.Mark = 7 })
		around = "2001:db8:1:0:f::/112"
	)
	steps := []struct {
		name string
		do   func()
		want bool
	}{
		{"a table that no rule leads to", func() {}, false},
		{"a rule for what arrives on another device", add(others), false},
		{"a rule for what arrives on the uplink", func() {
			del(others)()
			add(ours)()
		}, true},
		{"its table is emptied", drop(conformance.Pod.String()+"/128", "pod5", inTable(100)), false},
		{"and filled, with a wide route", put(around, "pod5", inTable(100)), true},
		{"the table does not say", put(conformance.Pod.String()+"/128", "", inTable(100), throw), false},
		{"the next one does", put(conformance.PodPrefix.String(), "pod5"), true},
		{"it does not", drop(conformance.PodPrefix.String(), "pod5"), false},
		{"the first one says again", drop(conformance.Pod.String()+"/128", "", inTable(100), throw), true},
		{"an earlier rule refuses", add(refuse), false},
		{"a rule leads past both", add(jump), false},
		{"to the main table", put(around, "pod5"), true},
		{"from where it is gone", drop(around, "pod5"), false},
		{"no jump", del(jump), false},
		{"no refusal", del(refuse), true},
		{"the rule is gone", del(ours), false},
		{"a rule for the addresses", add(to), true},
		{"a default route there is for these addresses", func() {
			put("::/0", "pod5", inTable(100))()
			drop(around, "pod5", inTable(100))()
		}, true},
		{"and for others only", func() {
			add(away)()
			del(to)()
		}, false},
		{"for all but others it is a default route", func() {
			del(away)()
			add(notTo)()
		}, false},
		{"with a route", func() {
			drop("::/0", "pod5", inTable(100))() // which the replies would take, too
			put(around, "pod5", inTable(100))()
		}, true},
		{"not for these", del(notTo), false},
		{"routes of that length do not count", add(short), false},
		{"a longer one does", put(conformance.Pod.String()+"/128", "pod5", inTable(100)), true},
		{"no route counts", func() {
			add(host)()
			del(short)()
		}, false},
		{"every packet", add(every), true},
		{"rules for packets of sockets, and with a mark", func() {
			add(socket)()
			add(marks)()
			put("2001:db8::/32", harness.Uplink, inTable(101))()
		}, true},
	}
	for _, s := range steps {
		s.do()
		t.Log(s.name)
		if s.want {
			a.WantAnswer(conformance.Pod)
		} else {
			a.WantSilence(conformance.Pod)
		}
		forget(t, n.Router, harness.RouterPort)
		wantReached(t, n.Router, s.want)
	}
	harness.Eventually(t, "explanation", func() bool {
		e := d.Explain(conformance.Pod).Answers[0].Entry
		return e != nil && e.Table == 100 && e.PolicyRule == "130: lookup 100" && slices.Equal(e.NotFollowed, []string{"70: fwmark 0x7 lookup 101"})
	})
	found := check(t, n, "--interface", harness.Uplink, "--rule", routeRule)
	if len(found) != 1 || found[0].Reason != "policy_rules" || found[0].Severity != inspect.Info {
		t.Errorf("found %+v", found)
	}
	if log := d.Log(); strings.Count(log, "a policy rule of the kernel is not followed") != 1 || !contains(log, `"rule":"70: fwmark 0x7 lookup 101"`) {
		t.Errorf("the log is\n%s", log)
	}
}

// TestTwoUplinksTwoTables has the same address behind the node for one uplink, and
// not for the other.
func TestTwoUplinksTwoTables(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	second := harness.Namespace(t)
	harness.Must(t, second.Veth("link", [6]byte{2, 0, 0, 0, 0, 0x31}, n.Node, "second", [6]byte{2, 0, 0, 0, 0, 0x32}))
	harness.Must(t, second.Address("link", "2001:db8:1::ff/64"))
	podIn(t, n, 100)
	harness.Must(t, n.Node.Link.RuleAdd(policy(100, 100, arriving(harness.Uplink))))
	harness.Run(t, n.Node, "--interface", harness.Uplink, "--interface", "second", "--rule", routeRule)
	first, other := newAsker(t, n), harness.NewAsker(t, second, "link")
	first.WantAnswer(conformance.Pod)
	other.WantSilence(conformance.Pod)
	t.Log("the other one, too")
	rule := policy(101, 100, arriving("second"))
	harness.Must(t, n.Node.Link.RuleAdd(rule))
	other.WantAnswer(conformance.Pod)
	first.WantAnswer(conformance.Pod)
	t.Log("the route goes, and comes back")
	route(t, n.Node, conformance.Pod.String()+"/128", "pod5", n.Node.Link.RouteDel, inTable(100))
	other.WantSilence(conformance.Pod)
	first.WantSilence(conformance.Pod)
	route(t, n.Node, conformance.Pod.String()+"/128", "pod5", n.Node.Link.RouteAdd, inTable(100))
	other.WantAnswer(conformance.Pod)
	first.WantAnswer(conformance.Pod)
	t.Log("the first one alone again")
	harness.Must(t, n.Node.Link.RuleDel(rule))
	other.WantSilence(conformance.Pod)
	first.WantAnswer(conformance.Pod)
	wantReached(t, n.Router, true)
}

// TestRuleTable has rules that ask tables which no policy rule leads to, and such that
// ask the main table although a policy rule leads elsewhere.
func TestRuleTable(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Must(t, n.Node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
	addPod(t, n, conformance.Pod)
	const other = "2001:db8:1:0:e::5"
	config := harness.WriteConfig(t, `version: 1
uplinks:
  - interface: uplink
rules:
  - {prefix: "2001:db8:1:0:f::/80", method: route, table: 100}
  - {prefix: "2001:db8:1:0:e::/80", method: probe, table: main}
  - {prefix: "2001:db8:1:0:d::/80", method: route}
`)
	d := harness.Run(t, n.Node, "--config", config)
	a := newAsker(t, n)
	host := conformance.Pod.String() + "/128"
	t.Log("the main table has the address, and the rule asks another one")
	a.WantSilence(conformance.Pod)
	if e := d.Explain(conformance.Pod).Answers[0]; e.Why != "the kernel has no route for the address" {
		t.Errorf("explained by %+v", e)
	}
	t.Log("that one has it, too")
	route(t, n.Node, host, "pod5", n.Node.Link.RouteAdd, inTable(100))
	a.WantAnswer(conformance.Pod)
	wantReached(t, n.Router, true)
	if e := d.Explain(conformance.Pod).Answers[0].Entry; e == nil || e.Table != 100 || e.Route != host+" dev pod5" {
		t.Errorf("explained by %+v", e)
	}
	t.Log("the main table has it no longer, which is not asked")
	route(t, n.Node, host, "pod5", n.Node.Link.RouteDel)
	a.WantAnswer(conformance.Pod)
	t.Log("a policy rule leads to another table, and the rule asks the main table")
	route(t, n.Node, other+"/128", "", n.Node.Link.RouteAdd, inTable(101), func(r *netlink.Route) { r.Type = unix.RTN_BLACKHOLE })
	harness.Must(t, n.Node.Link.RuleAdd(policy(100, 101, arriving(harness.Uplink))))
	device(t, n.Node, "pods")
	tunnel(t, n, "tun0")
	route(t, n.Node, other+"/128", "tun0", n.Node.Link.RouteAdd)
	route(t, n.Node, "2001:db8:1:0:d::5/128", "tun0", n.Node.Link.RouteAdd)
	a.WantAnswer(addr(other))
	a.WantAnswer(addr("2001:db8:1:0:d::5")) // by the policy rules, where table 101 has nothing
	t.Log("the rule's table is that of another reload")
	harness.Rewrite(t, config, `version: 1
uplinks:
  - interface: uplink
rules:
  - {prefix: "2001:db8:1:0:f::/80", method: route, table: main}
  - {prefix: "2001:db8:1:0:e::/80", method: probe, table: 101}
`)
	d.Reload()
	a.WantSilence(conformance.Pod)
	a.WantSilence(addr(other))
	route(t, n.Node, host, "pod5", n.Node.Link.RouteAdd)
	a.WantAnswer(conformance.Pod)
	if found := check(t, n, "--config", config); len(found) != 1 || found[0].Reason != "no_route_behind" {
		t.Errorf("found %+v", found)
	}
}

// TestAutowireInTable has a rule make its host routes in the table that a policy rule
// leads to, and pings by these alone.
func TestAutowireInTable(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	addPod(t, n, conformance.Pod)
	route(t, n.Node, conformance.Pod.String()+"/128", "pod5", n.Node.Link.RouteDel)
	harness.Must(t, n.Node.Link.RuleAdd(policy(100, 100, arriving(harness.Uplink))))
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t, `version: 1
uplinks:
  - interface: uplink
rules:
  - {prefix: "2001:db8:1:0:f::/80", method: probe, devices: [pod5], autowire: true, table: 100}
`))
	wantReached(t, n.Router, true)
	tables := func() (found []int) {
		routes, err := n.Node.Link.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Protocol: 73, Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		harness.Must(t, err)
		for _, r := range routes {
			found = append(found, r.Table)
		}
		return found
	}
	if got := tables(); !slices.Equal(got, []int{100}) {
		t.Errorf("host routes are in the tables %v", got)
	}
	d.Signal(syscall.SIGKILL)
	d.Exit()
	t.Log("the next process removes what this one has left behind")
	harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", "2001:db8:1:0:f::/80=probe")
	harness.Eventually(t, "end of the host route", func() bool { return len(tables()) == 0 })
}
