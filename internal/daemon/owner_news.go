// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// newsEvery is how often changes of owners are told: a node that dies moves many
// addresses within a moment.
const newsEvery = 5 * time.Second

// ownerNews gathers changes of owners, to tell of many at once.
type ownerNews struct {
	taken, given map[string][]netip.Addr // by the other node
	last         time.Time
}

func (n *ownerNews) add(c ownership.Change, self string) {
	switch self {
	case c.Owner:
		if n.taken == nil {
			n.taken = make(map[string][]netip.Addr)
		}
		n.taken[c.Before] = append(n.taken[c.Before], c.Address)
	case c.Before:
		if n.given == nil {
			n.given = make(map[string][]netip.Addr)
		}
		n.given[c.Owner] = append(n.given[c.Owner], c.Address)
	}
}

// flush tells what there is, in the log and as Events.
func (n *ownerNews) flush(c *cluster, now time.Time) {
	if len(n.taken)+len(n.given) == 0 || now.Sub(n.last) < newsEvery {
		return
	}
	n.last = now
	for node, addresses := range n.taken {
		c.owner.log.Info("service addresses taken over", "from", node, "count", len(addresses), "like", addresses[0])
		c.emit("ServiceAddressesTakenOver", fmt.Sprintf("Took %d service addresses over from node %s, such as %s.", len(addresses), node, addresses[0]), addresses)
	}
	for node, addresses := range n.given {
		c.owner.log.Info("service addresses left", "to", node, "count", len(addresses), "like", addresses[0])
	}
	n.taken, n.given = nil, nil
}

// emit writes an Event about the node, or about a service that is alone in it.
func (c *cluster) emit(reason, message string, addresses []netip.Addr) {
	if c.watcher == nil {
		return
	}
	e := k8swatch.Event{Reason: reason, Message: message}
	if s, ok := c.services[addresses[0]]; ok && len(addresses) == 1 {
		e.Service = &s.Service
	}
	c.watcher.Emit(e)
}

// conflict writes an Event about an address that another station has.
func (c *cluster) conflict(a netip.Addr, mac string) {
	if c.watcher == nil {
		return
	}
	e := k8swatch.Event{Warning: true, Reason: "AddressConflict", Message: fmt.Sprintf("The station %s on the uplink of node %s uses %s: it is left to that station while it answers.", mac, c.config.Node, a)}
	if p, ok := c.pods[a]; ok {
		e.Pod = &p
	} else if s, ok := c.services[a]; ok {
		e.Service = &s.Service
	} else {
		return
	}
	c.watcher.Emit(e)
}

// owns reports whether this node is the one that answers for a service address.
func (c *cluster) owns(a netip.Addr) bool {
	if c == nil || !c.needs.Leases || c.election.IsAlone() {
		return false
	}
	owner, _ := c.election.Owner(a)
	return owner == c.config.Node
}
