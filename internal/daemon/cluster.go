// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// cluster is what Kubernetes says, and what follows from it. The supervisor's
// lock guards it. Its methods that the watcher calls take that lock, so that the
// watcher's methods that lock must not be called under it.
type cluster struct {
	owner    *supervisor
	config   *config.Kubernetes
	needs    k8swatch.Needs
	watcher  *k8swatch.Watcher
	client   *k8swatch.Client
	watch    k8swatch.Config
	election *ownership.Election
	follow   func() // has the watcher replaced, if this cluster is spare or another one is in force

	pods         map[netip.Addr]k8swatch.Pod
	prefixSource string
	cidrs        []netip.Prefix
	services     map[netip.Addr]k8swatch.AddressChange
	inherited    map[netip.Addr]bool // services that the last watcher knew, and this one has not seen yet
	inheritedOf  map[string]bool     // nodes, by their leases likewise
	known, heard map[string]bool     // sources that are known as a whole, and from the server
	seats        map[string]seat     // of the nodes with a lease
	node         k8swatch.NodeState
	proxyFault   string // of the service proxy
	leaseFault   error
	leaseWell    bool // our lease was renewed once
	complete     bool // all that is needed was known once
	unreadable   bool // services may not be read
	anyEndpoint  bool // the endpoints may not be read, so a Local policy cannot count
	standby      bool // enough others announce
	spare        bool // we announce, and are not needed
	spareSince   time.Time
	others       int // announcers, as far as one that stands by knows
	ownerChanges uint64
	news         ownerNews
}

func newCluster(owner *supervisor, c *config.Kubernetes, needs k8swatch.Needs, holder string) *cluster {
	return &cluster{
		owner: owner, config: c, needs: needs,
		election: ownership.New(ownership.Announcer{Node: c.Node, Holder: holder, Weight: c.Weight}, c.Ownership, c.Settle),
		pods:     make(map[netip.Addr]k8swatch.Pod), services: make(map[netip.Addr]k8swatch.AddressChange),
		known: make(map[string]bool), heard: make(map[string]bool), seats: make(map[string]seat),
	}
}

// handler returns what the watcher calls.
func (c *cluster) handler() k8swatch.Handler {
	return k8swatch.Handler{
		Pods: c.podsChanged, Prefixes: c.prefixesChanged, Services: c.servicesChanged, ServiceCIDRs: c.cidrsChanged,
		Node: c.nodeChanged, Lease: c.leaseChanged, Wanted: c.wanted, Joining: c.joining, Known: c.isKnown,
		Record: c.record, Renewed: c.renewed, Forbidden: c.forbidden,
	}
}

// locked runs f under the supervisor's lock, and does what follows from it.
func (c *cluster) locked(f func(now time.Time)) {
	begin := time.Now()
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	if c.owner.cluster != c { // another configuration is in force, and this watcher is about to end
		return
	}
	f(begin)
	c.publish(begin)
	c.owner.rearm()
	c.owner.observe(time.Since(begin))
}

func (c *cluster) podsChanged(pods map[netip.Addr]k8swatch.Pod) {
	c.locked(func(time.Time) {
		for a := range pods { // later evidence than any claim
			if _, known := c.pods[a]; !known {
				c.owner.disclaim(a)
			}
		}
		c.pods = pods
		c.owner.store.Replace(rules.PodAddresses, func(yield func(rules.Entry) bool) {
			for a := range pods {
				if !yield(rules.Entry{Prefix: netip.PrefixFrom(a, a.BitLen()), Behind: true}) {
					return
				}
			}
		})
	})
}

func (c *cluster) prefixesChanged(source string, prefixes []netip.Prefix) {
	c.locked(func(time.Time) {
		if source != c.prefixSource {
			c.owner.log.Info("the node's prefixes", "source", source, "prefixes", prefixes)
		}
		c.prefixSource = source
		c.owner.store.Replace(rules.NodePrefixes, func(yield func(rules.Entry) bool) {
			for _, p := range prefixes {
				if !yield(rules.Entry{Prefix: p, Behind: true}) {
					return
				}
			}
		})
	})
}

func (c *cluster) cidrsChanged(cidrs []netip.Prefix) {
	c.locked(func(time.Time) {
		c.cidrs = cidrs
		c.owner.report(c.owner.settle(false))
	})
}

func (c *cluster) servicesChanged(changes []k8swatch.AddressChange) {
	c.locked(func(time.Time) {
		facts := make([]ownership.Fact, len(changes))
		for i, a := range changes {
			facts[i] = c.fact(a)
			delete(c.inherited, a.Address)
			if a.Gone {
				delete(c.services, a.Address)
			} else {
				a.Service.Addresses = nil // one of them is enough here
				c.services[a.Address] = a
			}
		}
		c.election.Update(facts)
	})
}

func (c *cluster) fact(a k8swatch.AddressChange) ownership.Fact {
	return ownership.Fact{Address: a.Address, Gone: a.Gone, Local: a.Local && !c.anyEndpoint, Nodes: a.Nodes}
}

func (c *cluster) nodeChanged(n k8swatch.NodeState) {
	c.locked(func(now time.Time) {
		c.node = n
		c.setSelf(now)
	})
}

func (c *cluster) leaseChanged(l k8swatch.Lease, gone bool) {
	c.locked(func(now time.Time) {
		was, known := c.seats[l.Node]
		again := c.inheritedOf != nil && known && !gone && l.Holder == was.Holder && l.Renewed <= was.written
		delete(c.inheritedOf, l.Node)
		if again { // no renewal: the last watcher has told of it
			return
		}
		if gone {
			delete(c.seats, l.Node)
			c.election.Left(l.Node)
			return
		}
		a, err := ownership.ParseRecord(l.Node, l.Holder, l.Record)
		c.seated(l, a, now)
		if err != nil {
			c.owner.fault("leases", err)
			return
		}
		c.election.Renewed(a, now)
		c.due(now) // others' leases may have ended meanwhile
		c.review(now)
	})
}

// isKnown begins to take part when there is something to take part in.
func (c *cluster) isKnown(source string, heard bool) {
	if c.heard[source] || c.known[source] && !heard { // only the watcher calls this, one at a time
		return
	}
	c.locked(func(now time.Time) {
		c.known[source] = true
		if heard {
			c.heard[source] = true
			c.forgetInherited(source, now)
		}
		if source == k8swatch.SourceLeases {
			c.election.Together(now)
		}
		c.join(now)
	})
}

// publish puts what the election has changed in force.
func (c *cluster) publish(now time.Time) {
	changes := c.election.Changes(now)
	entries := make([]rules.EntryChange, len(changes))
	for i, ch := range changes {
		entries[i] = rules.EntryChange{
			Entry: rules.Entry{Prefix: netip.PrefixFrom(ch.Address, ch.Address.BitLen()), Behind: ch.Ours, Since: now}, Gone: ch.Gone,
		}
		if ch.Owner != ch.Before && ch.Before != "" && ch.Owner != "" {
			c.ownerChanges++
			c.news.add(ch, c.config.Node)
		}
	}
	if len(entries) > 0 {
		c.owner.store.Update(rules.ServiceAddresses, entries)
	}
	for _, ch := range changes {
		if ch.Ours && ch.Owner != c.config.Node { // answered for until the owner announces it, which we do no more
			c.owner.withdraw(ch.Address)
		}
	}
	c.news.flush(c, now)
	c.showPresence()
	if c.election.RecordChanged() && c.needs.Leases {
		c.speak()
		c.watcher.Renew()
	}
}

// due does what the election has to do now.
func (c *cluster) due(now time.Time) {
	asks := c.election.Due(now)
	c.publish(now)
	for _, ask := range asks {
		for _, u := range c.owner.uplinks {
			if u.listener == nil || u.state != Ready {
				continue
			}
			frame, err := u.iface.AskStation(ask.Target, ask.To)
			if err == nil {
				err = u.listener.Send(frame)
			}
			u.report(err)
		}
	}
}
