// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// cluster is what is known by one watcher, and what follows from it. The
// Manager's lock guards it. Its methods that the watcher calls take that lock;
// all others are called with it held.
type cluster struct {
	manager  *Manager
	config   *config.Kubernetes
	needs    k8swatch.Needs
	client   *k8swatch.Client
	watcher  watcher
	election *ownership.Election

	// What the API server says.
	pods         map[netip.Addr]k8swatch.Pod
	prefixes     []netip.Prefix
	awaits       bool   // a virtual machine is to arrive at an address that is not known yet
	prefixSource string // where the node's prefixes are from
	cidrs        []netip.Prefix
	cidrsUnknown bool       // the server does not tell them
	kubernetes   netip.Addr // the cluster IP of the service kubernetes
	services     map[netip.Addr]k8swatch.AddressChange
	ignored      map[netip.Addr]k8swatch.AddressChange // of services that do not count
	node         k8swatch.NodeState
	// nodeAddresses are left to the nodes that have them.
	nodeAddresses nodeAddresses
	// answered are the addresses that nobody has to be asked for.
	answered answered
	// suspects are other stations that answer for addresses of this node.
	suspects     suspects
	sweep        sweep
	formers      formers
	absent       bool            // the cluster has no Node of this name
	alike        []string        // the names of its Nodes that are like it
	known, heard map[string]bool // sources that are known as a whole, and from the server
	inherited    inherited
	forbidden    map[string]bool // sources that the account has no permission for

	// What the rules take of service addresses, and those that may have no part in the
	// election.
	selection k8swatch.Selection
	taken     []kindRule
	told      []netip.Prefix // the ranges that ServiceCIDRs last returned
	outside   []netip.Addr   // since they were last published

	// What this node's part is.
	seats      seats
	namesake   namesake
	proxy      proxyState
	proxyTold  bool  // the watcher knows that it was well; its goroutine's alone
	leaseFault error // why our lease could not be renewed, nil since it was
	leaseHeld  bool  // it was renewed once
	standby    bool  // enough others announce, and nothing of services is followed
	leaving    bool  // we announce, are redundant, and are about to stand by
	announcers int   // the others, as far as one that stands by knows
	// redundantSince is when enough others were first seen to announce, zero
	// while we are needed.
	redundantSince time.Time

	confirms confirms
	calls    calls // of nodes that stand by
	near     near
	// calledUntil is until when this node announces because it was called in, zero
	// where it never was.
	calledUntil time.Time

	complete     bool // all that is needed was known once
	ownerChanges uint64
	moves        moves
	handovers    handovers
	standIns     chan struct{} // it may be time to look for nodes that can stand in
}

// newCluster makes a cluster with its watcher, which does not run yet. standby is
// true for a node that has just left its addresses to others.
func newCluster(m *Manager, k *config.Kubernetes, needs k8swatch.Needs, selection k8swatch.Selection, client *k8swatch.Client, standby bool) *cluster {
	c := &cluster{
		manager: m, config: k, needs: needs, selection: selection, client: client, standby: standby,
		election: ownership.New(ownership.Announcer{Node: k.Node, Holder: m.holder, Weight: k.Weight}, k.Ownership, k.Settle),
		pods:     make(map[netip.Addr]k8swatch.Pod), services: make(map[netip.Addr]k8swatch.AddressChange), ignored: make(map[netip.Addr]k8swatch.AddressChange),
		known: make(map[string]bool), heard: make(map[string]bool), forbidden: make(map[string]bool), seats: make(seats), moves: make(moves),
		confirms: confirms{until: time.Now().Add(confirmWithin)},
		standIns: make(chan struct{}, 1),
		answered: newAnswered(), suspects: make(suspects), formers: make(formers),
	}
	c.watcher = m.watch(client, k8swatch.Config{
		Node: k.Node, Namespace: k.Namespace, Needs: needs, Selection: selection,
		PrefixSource: k.PrefixSource, Routed: m.store.Routed,
		Snapshot: k.Snapshot, Standby: standby, Holder: m.holder, Log: m.log,
	}, k8swatch.Handler{
		Awaited: c.awaited, Pods: c.podsChanged, Prefixes: c.prefixesChanged, Services: c.servicesChanged, ServiceCIDRs: c.cidrsChanged,
		Node: c.nodeChanged, NodeAddresses: c.nodeAddressesChanged, Absent: c.absentChanged, Lease: c.leaseChanged, Wanted: c.wanted, Joining: c.joining, Called: c.called, Known: c.sourceKnown, Proxy: c.proxyKnown,
		Record: c.record, Links: c.linkNames, Renewed: c.renewed, Forbidden: c.permissionChanged, SameHost: c.sameHost,
	})
	return c
}

// run follows the API server, and asks the service proxy, until ctx ends.
func (c *cluster) run(ctx context.Context) {
	var g sync.WaitGroup
	if c.config.ProxyHealth != "" && c.needs.Services {
		g.Go(func() { followProxy(ctx, c.config.ProxyHealth, c.proxyAnswered) })
	}
	if c.needs.Services && c.config.Ownership != rules.OwnershipHash {
		g.Go(func() { c.followStandIns(ctx) })
	}
	c.watcher.Run(ctx)
	g.Wait()
}

// locked runs f with the Manager's lock held, and puts in force what follows.
// What a watcher says that another one has replaced no longer counts.
func (c *cluster) locked(f func(now time.Time)) {
	m, begin := c.manager, time.Now()
	current := false
	m.update(func(now time.Time) {
		if current = m.current == c; current {
			c.refresh(now)
			f(now)
			c.publish(now)
		}
	})
	if current {
		m.observe(time.Since(begin))
	}
}

// knowsAll reports whether services, and who shares them out, are known as a whole.
func (c *cluster) knowsAll() bool {
	return c.known[k8swatch.SourceServices] && (!c.needs.Leases || c.known[k8swatch.SourceLeases])
}

// waits returns what this node's part in sharing out services waits for. A lease that
// cannot be written is not waited for without a permission, nor without the server: the
// snapshot is what there is then.
func (c *cluster) waits() []string {
	switch {
	case !c.needs.Services, c.forbidden[k8swatch.SourceServices] && !c.known[k8swatch.SourceServices], c.standby, c.election.IsAlone():
		return nil
	case !c.known[k8swatch.SourceServices]:
		return []string{k8swatch.SourceServices}
	case c.needs.Leases && !c.known[k8swatch.SourceLeases]:
		return []string{k8swatch.SourceLeases}
	case !c.election.Speaks():
		return []string{"other announcers"}
	case c.hasNamesake():
		return []string{"own lease, which another daemon keeps"}
	case c.needs.Leases && !c.leaseHeld && (c.leaseFault == nil || c.heard[k8swatch.SourceLeases] && !c.forbidden[k8swatch.SourceOwnLease]):
		return []string{"own lease"}
	}
	return nil
}

// unfit says why this node should not own service addresses, "" if it may.
func (c *cluster) unfit() string {
	if c.node.Excluded != "" {
		return c.node.Excluded
	}
	return c.proxy.fault
}

// answersUnfit reports whether this node answers although it is not fit, because no
// other can in its place.
func (c *cluster) answersUnfit() bool {
	return c.unfit() != "" && c.config.Ownership != rules.OwnershipHash && c.election.Irreplaceable()
}

// owns reports whether this node is the one that answers for a service address.
func (c *cluster) owns(a netip.Addr) bool {
	if !c.needs.Leases || c.election.IsAlone() {
		return false
	}
	owner, _ := c.election.Owner(a)
	return owner == c.config.Node
}

// emit writes an Event about the node, or about the pod or the service with an
// address, if it is a single one.
func (c *cluster) emit(e k8swatch.Event, addresses ...netip.Addr) {
	if len(addresses) == 1 {
		if p, ok := c.pods[addresses[0]]; ok {
			e.Pod = &p
		} else if s, ok := c.services[addresses[0]]; ok {
			e.Service = &s.Service
		}
	}
	c.watcher.Emit(e)
}
