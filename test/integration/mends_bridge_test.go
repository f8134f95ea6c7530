// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// bridged connects a router, which may send MLD queries, to a bridge of the node. The
// uplink is the bridge br0 itself, a device on it, or eth9 at a port of it.
func bridged(t *testing.T, foreign bool, uplink string) *harness.Network {
	t.Helper()
	n := &harness.Network{Router: harness.Namespace(t), Node: harness.Namespace(t)}
	harness.Must(t, n.Router.Veth("port", [6]byte{2, 0, 0, 0, 7, 1}, n.Node, "port", [6]byte{2, 0, 0, 0, 7, 2}))
	querier := "0"
	if foreign {
		querier = "1"
	}
	const fast = " mcast_query_response_interval 10 mcast_startup_query_interval 30 mcast_query_interval 100 "
	shell(t, n.Router, "ip link add name "+harness.RouterPort+" address 02:00:00:00:00:01 type bridge"+fast+"mcast_snooping 1 mcast_querier "+querier+
		"; ip link set port master "+harness.RouterPort+"; bridge link set dev port mcast_router 2; ip link set dev "+harness.RouterPort+" up; ip -6 addr add "+conformance.RouterAddr.String()+"/64 dev "+harness.RouterPort+" nodad")
	shell(t, n.Node, "sysctl -w net.ipv6.conf.all.forwarding=1; ip link add br0 address 02:00:00:00:00:02 type bridge"+fast+"mcast_snooping 1; ip link set port master br0; ip link set br0 up")
	switch uplink {
	case "eth9":
		shell(t, n.Node, "ip link set br0 address 02:00:00:00:07:03; ip link add eth9 address 02:00:00:00:00:02 type veth peer name peer9; ip link set peer9 master br0; ip link set peer9 up; ip link set eth9 up")
	case "mv0":
		shell(t, n.Node, "ip link set br0 address 02:00:00:00:07:03; ip link add mv0 link br0 address 02:00:00:00:00:02 type macvlan mode bridge; ip link set mv0 up")
	}
	harness.Must(t, n.Node.Address(uplink, conformance.NodeAddr.String()+"/64"))
	return n
}

// TestSnooping measures when a bridge of the host keeps solicitations from the
// daemon, and wants check to warn then, and only then. The kernel is the one that
// the test runs on: before Linux 6.16 a bridge keeps them from its own device in spite
// of all-multicast.
func TestSnooping(t *testing.T) {
	t.Parallel()
	const (
		wide   = "2001:db8:1:0:f::/80"
		narrow = "2001:db8:1:0:f::5"
	)
	tests := []struct {
		name, uplink, membership, prefix string
		foreign                          bool   // a querier on the link
		setup                            string // of the node
		kept                             bool
	}{
		{name: "no querier", uplink: "br0", membership: "auto", prefix: wide},
		{name: "no querier, groups only", uplink: "br0", membership: "join", prefix: wide},
		{name: "a querier, all-multicast", uplink: "br0", membership: "auto", prefix: wide, foreign: true},
		{name: "the bridge's own querier, all-multicast", uplink: "br0", membership: "auto", prefix: wide, setup: "ip link set br0 type bridge mcast_querier 1"},
		{name: "a querier, groups only", uplink: "br0", membership: "join", prefix: wide, foreign: true, kept: true},
		{name: "a querier, nothing", uplink: "br0", membership: "none", prefix: wide, foreign: true, kept: true},
		{name: "a querier, a group that is joined", uplink: "br0", membership: "join", prefix: narrow, foreign: true},
		{name: "a querier, groups only, no snooping", uplink: "br0", membership: "join", prefix: wide, foreign: true, setup: "ip link set br0 type bridge mcast_snooping 0"},
		{name: "a querier, groups only, a router", uplink: "br0", membership: "join", prefix: wide, foreign: true, setup: "ip link set br0 type bridge mcast_router 2"},
		{name: "a macvlan, all-multicast", uplink: "mv0", membership: "auto", prefix: wide, foreign: true},
		{name: "a port, no querier", uplink: "eth9", membership: "auto", prefix: wide},
		{name: "a port, all-multicast", uplink: "eth9", membership: "auto", prefix: wide, foreign: true, kept: true},
		{name: "a port, all-multicast only", uplink: "eth9", membership: "allmulti", prefix: narrow, foreign: true, kept: true},
		{name: "a port, a group that is joined", uplink: "eth9", membership: "auto", prefix: narrow, foreign: true},
		{name: "a router's port", uplink: "eth9", membership: "auto", prefix: wide, foreign: true, setup: "ip link set peer9 type bridge_slave mcast_router 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := bridged(t, tt.foreign, tt.uplink)
			if tt.setup != "" {
				shell(t, n.Node, tt.setup)
			}
			config := harness.WriteConfig(t, "version: 1\nuplinks: [{interface: "+tt.uplink+", membership: "+tt.membership+"}]\nrules: [{prefix: '"+tt.prefix+"', method: static}]\n")
			harness.Run(t, n.Node, "--config", config)
			if tt.foreign || tt.setup != "" { // the querier is in force after its first response interval
				harness.Eventually(t, "querier", func() (there bool) {
					harness.Must(t, n.Node.Do(func() error {
						link, err := hostwatch.ReadLink(tt.uplink, 0)
						if err != nil {
							return err
						}
						s := hostwatch.ReadUplink(link).Snooping
						there = s.Querier || s == hostwatch.Snooping{}
						return nil
					}))
					return there
				})
				time.Sleep(time.Second)
			}
			a := newAsker(t, n)
			if tt.kept {
				a.WantSilence(conformance.Pod)
			} else {
				for range 5 {
					if a.Ask(conformance.Pod, harness.Patience) == nil {
						t.Fatal("no answer: a frame was kept")
					}
				}
			}
			found := named(check(t, n, "--config", publicConfig(t, config)), "mld_snooping", inspect.Warning)
			if len(found) > 0 != tt.kept {
				t.Fatalf("kept is %t, and check says%s", tt.kept, show(found))
			}
			if !tt.kept {
				return
			}
			t.Log(found[0].Remedy)
			shell(t, n.Node, until(", or")(found[0].Remedy))
			if left := named(check(t, n, "--config", publicConfig(t, config)), "mld_snooping", ""); len(left) > 0 {
				t.Errorf("the finding stays:%s", show(left))
			}
			if tt.membership != "none" || tt.uplink == "br0" {
				a.WantAnswer(conformance.Pod)
			}
		})
	}
}

// TestNeighSuppress measures what a port of the uplink's bridge with neigh_suppress
// keeps from the link: unsolicited advertisements, and no answers.
func TestNeighSuppress(t *testing.T) {
	t.Parallel()
	n := bridged(t, false, "br0")
	shell(t, n.Node, "ip link set br0 type bridge mcast_snooping 0; bridge link set dev port neigh_suppress on")
	device(t, n.Node, "pods")
	route(t, n.Node, "2001:db8:1:0:e::/80", "pods", n.Node.Link.RouteAdd)
	args := []string{"--interface", "br0", "--rule", "2001:db8:1::/64=route"}
	harness.Run(t, n.Node, args...)
	a := newAsker(t, n)
	announced := func(target string, within time.Duration) bool {
		route(t, n.Node, target+"/128", "pods", n.Node.Link.RouteAdd)
		return a.Hear(addr(target), within) != nil
	}
	if announced("2001:db8:1:0:f::1", 1500*time.Millisecond) {
		t.Error("an announcement leaves in spite of neigh_suppress")
	}
	a.WantAnswer(addr("2001:db8:1:0:f::1"))
	found := named(check(t, n, args...), "neigh_suppress", inspect.Warning)
	if len(found) != 1 || !contains(found[0].Problem, "port") {
		t.Fatalf("got%s", show(found))
	}
	shell(t, n.Node, found[0].Remedy)
	if left := named(check(t, n, args...), "neigh_suppress", ""); len(left) > 0 {
		t.Errorf("the finding stays:%s", show(left))
	}
	if !announced("2001:db8:1:0:f::2", harness.Patience) {
		t.Error("no announcement after the remedy")
	}

	t.Log("another port of the bridge does not count, once the router's is known")
	shell(t, n.Node, "ip link add c1 type veth peer name c2; ip link set c1 master br0; ip link set c1 up; ip link set c2 up; bridge link set dev c1 neigh_suppress on")
	harness.Must(t, n.Router.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	pinger, err := n.Node.NewPinger(conformance.RouterAddr)
	harness.Must(t, err)
	defer pinger.Close()
	harness.Eventually(t, "neighbor entry of the router", func() bool {
		_, _ = pinger.Ping(t.Context(), 100*time.Millisecond)
		return len(named(check(t, n, args...), "neigh_suppress", "")) == 0
	})
}
