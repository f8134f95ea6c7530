// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// confirmWithin is how long what the snapshot has is answered for and not announced, while
// the API server has not said what still holds. An answer costs nothing where another
// node answers as well; an announcement takes the address away from that node. A server
// that is there lists within seconds; one that is not leaves the snapshot as the best
// that is known.
const confirmWithin = 10 * time.Second

// confirms is what is known to hold of what the last process knew.
type confirms struct {
	until    time.Time // when everything counts as confirmed, zero since then
	services bool      // what the election says is announced
}

// isConfirmed reports whether what a source says may be announced: the API server has
// said so, or had the time to.
func (c *cluster) isConfirmed(source string) bool {
	return c.confirms.until.IsZero() || c.heard[source]
}

// servicesConfirmed reports whether the owner of an address may announce it.
func (c *cluster) servicesConfirmed() bool {
	return c.isConfirmed(k8swatch.SourceServices) && (!c.needs.Leases || c.election.IsAlone() || c.isConfirmed(k8swatch.SourceLeases))
}

// confirm has announced what has been answered for only.
func (c *cluster) confirm(now time.Time) {
	if !c.confirms.until.IsZero() && !now.Before(c.confirms.until) {
		c.confirms.until = time.Time{}
		c.replacePods()
	}
	if c.confirms.services || !c.servicesConfirmed() {
		return
	}
	c.confirms.services = true
	var changes []rules.EntryChange
	for a := range c.services {
		if e, ok := c.manager.store.Entry(rules.ServiceAddresses, a); ok && e.Unconfirmed {
			e.Unconfirmed = false
			changes = append(changes, rules.EntryChange{Entry: e})
		}
	}
	if len(changes) > 0 {
		c.manager.store.Update(rules.ServiceAddresses, changes)
	}
}

// replacePods puts the addresses of this node's pods in force, unless another node has
// its name and they may be that one's.
func (c *cluster) replacePods() {
	unconfirmed := !c.isConfirmed(k8swatch.SourcePods)
	pods := c.pods
	if c.namesake.alive {
		pods = nil
	}
	c.manager.store.Replace(rules.PodAddresses, func(yield func(rules.Entry) bool) {
		for a, p := range pods {
			if !yield(rules.Entry{Prefix: single(a), Behind: p.Absent == "", Additional: p.Additional, Unconfirmed: unconfirmed}) {
				return
			}
		}
	})
}

// replacePrefixes does the same for the node's prefixes.
func (c *cluster) replacePrefixes() {
	prefixes := c.prefixes
	if c.namesake.alive {
		prefixes = nil
	}
	c.manager.store.Replace(rules.NodePrefixes, func(yield func(rules.Entry) bool) {
		for _, p := range prefixes {
			if !yield(rules.Entry{Prefix: p, Behind: true}) {
				return
			}
		}
	})
}

// next returns when the cluster has something to do, and false for never.
func (c *cluster) next() (time.Time, bool) {
	at, ok := c.election.Next()
	rivals, _ := c.rivalsDue()
	for _, due := range []time.Time{c.confirms.until, c.calls.at, rivals} {
		if !due.IsZero() && (!ok || due.Before(at)) {
			at, ok = due, true
		}
	}
	return at, ok
}
