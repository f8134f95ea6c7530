// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// node is a host in a namespace, with one device.
type node struct {
	*lab.Namespace
	device atomic.Int32
}

func (n *node) Index(string) int32              { return n.device.Load() }
func (n *node) Name(int32) string               { return "pod1" }
func (n *node) Has(index int32) bool            { return index != 0 && n.device.Load() == index }
func (n *node) Existing() []hostwatch.HostRoute { return nil }
func (n *node) VRF(int32) uint32                { return 0 }

func (n *node) Add(r hostwatch.HostRoute) error {
	return n.Do(func() error { return KernelWires{}.Add(r) })
}
func (n *node) Remove(r hostwatch.HostRoute) error {
	return n.Do(func() error { return KernelWires{}.Remove(r) })
}

func (n *node) readLink(index int) (l rules.Link, err error) {
	err = n.Do(func() error { l, err = hostwatch.ReadLink("", index); return err })
	return l, err
}

func (n *node) open() (s Socket, err error) {
	err = n.Do(func() error { s, err = ndp.OpenProbeSocket(); return err })
	return s, err
}

// TestRealLink asks a kernel behind a veth, and makes the host route to what has
// answered.
func TestRealLink(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	home, err := lab.New()
	if err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	defer home.Close()
	pod, err := lab.New()
	must(err)
	defer pod.Close()
	must(home.Veth("pod1", [6]byte{2, 0, 0, 0, 0, 1}, pod, "eth0", [6]byte{2, 0, 0, 0, 0, 2}))
	must(pod.Address("eth0", target(1).String()+"/64"))
	link, err := home.Link.LinkByName("pod1")
	must(err)
	n := &node{Namespace: home}
	n.device.Store(int32(link.Attrs().Index))

	store := new(rules.Store)
	store.ResolveDevices(n.Index)
	rs := onDevices("pod1")
	rs[0].Autowire = true
	must(store.SetRules(rs))
	p := New(Config{
		Store: store, Devices: n, ReadLink: n.readLink, Open: n.open, Wires: n,
		Neighbors: func() ([]hostwatch.Neighbor, error) { return nil, nil }, Log: slog.New(slog.DiscardHandler),
	})
	settled := make(chan netip.Addr, 100)
	p.settleQuery = func(q *ndp.Query) { settled <- q.Target }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never: %s", what)
			}
		}
	}
	wired := func() bool {
		routes, err := home.Link.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Protocol: hostwatch.HostRouteProtocol}, netlink.RT_FILTER_PROTOCOL)
		return err == nil && len(routes) == 1
	}

	until("ready", func() bool { return p.Ready() == nil })
	// The pod's address is known to its kernel; nobody else's is.
	for _, a := range []netip.Addr{target(1), target(2)} {
		p.Ask(ndp.Query{Target: a, Verdict: rules.Verdict{Probe: true}})
	}
	if a := <-settled; a != target(1) {
		t.Errorf("%s is settled first", a)
	}
	if store.Load().Entries(rules.Probed) != 1 || !wired() {
		t.Error("the target was settled before it was published and had a route")
	}
	n.device.Store(0)
	must(home.Delete("pod1"))
	p.DeviceChanged(0)
	until("the target is gone with the device", func() bool { return store.Load().Entries(rules.Probed) == 0 && !wired() })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
