// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// maxAnnouncers is how many nodes share the service addresses of a cluster.
// Their renewals reach each other, so the traffic grows with the square.
const maxAnnouncers = 32

// cluster is what Kubernetes says, and what follows from it. The supervisor's
// lock guards it. Its methods that the watcher calls take that lock, so that the
// watcher's methods that lock must not be called under it.
type cluster struct {
	owner    *supervisor
	config   *config.Kubernetes
	needs    k8swatch.Needs
	watcher  *k8swatch.Watcher
	election *ownership.Election

	pods         map[netip.Addr]k8swatch.Pod
	prefixSource string
	cidrs        []netip.Prefix
	services     map[netip.Addr]k8swatch.AddressChange
	known        map[string]bool // sources that are known as a whole
	announced    map[string]bool // nodes with a lease
	node         k8swatch.NodeState
	proxyFault   string // of the service proxy
	leaseFault   error
	standby      bool // there are enough announcers
	ownerChanges uint64
	news         ownerNews
}

func newCluster(owner *supervisor, c *config.Kubernetes, needs k8swatch.Needs, holder string) *cluster {
	return &cluster{
		owner: owner, config: c, needs: needs,
		election: ownership.New(ownership.Announcer{Node: c.Node, Holder: holder, Weight: c.Weight}, c.Ownership, c.Settle),
		pods:     make(map[netip.Addr]k8swatch.Pod), services: make(map[netip.Addr]k8swatch.AddressChange),
		known: make(map[string]bool), announced: make(map[string]bool),
	}
}

// handler returns what the watcher calls.
func (c *cluster) handler() k8swatch.Handler {
	return k8swatch.Handler{
		Pods: c.podsChanged, Prefixes: c.prefixesChanged, Services: c.servicesChanged, ServiceCIDRs: c.cidrsChanged,
		Node: c.nodeChanged, Lease: c.leaseChanged, Known: c.isKnown,
		Record: c.record, Renewed: c.renewed, Forbidden: c.forbidden,
	}
}

// locked runs f under the supervisor's lock, and does what follows from it.
func (c *cluster) locked(f func(now time.Time)) {
	begin := time.Now()
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
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
			facts[i] = ownership.Fact{Address: a.Address, Gone: a.Gone, Local: a.Local, Nodes: a.Nodes}
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

func (c *cluster) nodeChanged(n k8swatch.NodeState) {
	c.locked(func(now time.Time) {
		c.node = n
		c.setSelf(now)
	})
}

func (c *cluster) leaseChanged(l k8swatch.Lease, gone bool) {
	c.locked(func(now time.Time) {
		if gone {
			delete(c.announced, l.Node)
			c.election.Left(l.Node)
			c.join(now)
			return
		}
		c.announced[l.Node] = true
		a, err := ownership.ParseRecord(l.Node, l.Holder, l.Record)
		if err != nil {
			c.owner.fault("leases", err)
			return
		}
		c.election.Renewed(a, now)
		c.publish(now)
		c.election.Due(now) // others' leases may have ended meanwhile
	})
}

// isKnown begins to take part when there is something to take part in.
func (c *cluster) isKnown(source string) {
	if c.known[source] { // only the watcher calls this, one at a time
		return
	}
	c.locked(func(now time.Time) {
		c.known[source] = true
		c.join(now)
	})
}

// join begins to take part, unless enough others do.
func (c *cluster) join(now time.Time) {
	if !c.known[k8swatch.SourceServices] || c.needs.Leases && !c.known[k8swatch.SourceLeases] {
		return
	}
	standby := c.needs.Leases && !c.announced[c.config.Node] && len(c.announced) >= maxAnnouncers
	if standby != c.standby || standby {
		c.owner.log.Warn("other nodes announce service addresses already: this one waits until one of them stops; run fewer with rules for services",
			"announcers", len(c.announced), "standby", standby)
	}
	if c.standby = standby; standby {
		return
	}
	c.election.Begin(now)
	c.setSelf(now)
	if c.needs.Leases {
		c.watcher.Announce()
	}
}

// forbidden makes this node act alone where it may not read the leases.
func (c *cluster) forbidden(source string) {
	if source != k8swatch.SourceLeases {
		return
	}
	c.locked(func(now time.Time) {
		c.owner.log.Warn("the account may not read leases: this node answers for every service address, as if no other did; two such nodes send packets in circles",
			"namespace", c.config.Namespace)
		c.election.Alone(now)
		c.setSelf(now)
	})
}

func (c *cluster) record() string {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	record, _ := c.election.Record()
	return record
}

func (c *cluster) renewed(err error) {
	c.locked(func(now time.Time) {
		c.leaseFault = err
		c.setSelf(now)
	})
}

// setSelf tells the election what this node is like.
func (c *cluster) setSelf(now time.Time) {
	a := ownership.Announcer{Excluded: c.unfit(), Cordoned: c.node.Cordoned}
	if !c.standby && !mayNot(c.leaseFault) {
		a.Links = c.owner.announcerLinks()
	}
	c.election.SetSelf(a, now)
}

// announcerLinks returns the uplinks that answer for services.
func (s *supervisor) announcerLinks() []ownership.Link {
	var links []ownership.Link
	for _, u := range s.uplinks {
		if u.state != Ready {
			continue
		}
		l := ownership.Link{MAC: u.link.MAC, OnLink: u.onLink(s.routes.HopsOf(u.link.Index).OnLink)}
		for _, r := range s.store.Load().Rules() {
			if r.Method == rules.Services && r.Covers(u.config.Interface) {
				l.Prefixes = append(l.Prefixes, r.Prefix)
			}
		}
		if len(l.Prefixes) > 0 {
			links = append(links, l)
		}
	}
	return links
}

// publish puts what the election has changed in force.
func (c *cluster) publish(now time.Time) {
	changes := c.election.Changes()
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
	c.news.flush(c, now)
	if _, news := c.election.Record(); news && c.watcher != nil && c.needs.Leases {
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

// needsOf returns what rules ask of a cluster.
func needsOf(c *config.Config) k8swatch.Needs {
	var n k8swatch.Needs
	if c.DiscoverRules {
		n = k8swatch.Needs{Pods: true, Services: true, ServiceCIDRs: true}
	}
	for _, r := range c.Rules {
		n.Pods = n.Pods || r.Method == rules.Pods
		n.Prefixes = n.Prefixes || r.Method == rules.Node
		n.Services = n.Services || r.Method == rules.Services
	}
	n.Leases = n.Services && c.Kubernetes.Ownership == rules.OwnershipHash
	return n
}

// clusterRules returns the rules for the addresses that a cluster has: pods in
// the on-link prefixes of the uplinks, and its service prefixes.
func (s *supervisor) clusterRules(onLink []rules.Rule) []rules.Rule {
	var rs []rules.Rule
	services := make(map[netip.Prefix]bool)
	if s.cluster != nil { // else the first one is about to come
		for _, p := range s.cluster.cidrs {
			services[p] = true
			rs = append(rs, rules.Rule{Prefix: p, Method: rules.Services})
		}
	}
	for _, r := range onLink {
		if !services[r.Prefix] {
			r.Method = rules.Pods
			rs = append(rs, r)
		}
	}
	return rs
}

// withAnycast gives rules for services the delay that goes with more than one
// node that answers (RFC 4861 §7.2.7, §7.2.8).
func withAnycast(rs []rules.Rule) []rules.Rule {
	out := slices.Clone(rs)
	for i := range out {
		if out[i].Method == rules.Services && out[i].Delay == 0 {
			out[i].Delay = rules.MaxDelay
		}
	}
	return out
}

// forgetCluster drops everything that came from a cluster.
func (s *supervisor) forgetCluster() {
	for _, source := range []rules.Source{rules.PodAddresses, rules.NodePrefixes, rules.ServiceAddresses} {
		s.store.Replace(source, maps.Values(map[int]rules.Entry(nil)))
	}
}
