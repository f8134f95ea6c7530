// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// permissionChanged goes on without what the account may not read, and with it when the
// permission is there again. The watcher does not call it for a request that is
// forbidden once, as by an API server that starts. What was known stays known: a
// permission that is lost later is treated as an outage.
func (c *cluster) permissionChanged(source string, missing bool) {
	c.locked(func(now time.Time) { c.setForbidden(source, missing, now) })
}

func (c *cluster) setForbidden(source string, missing bool, now time.Time) {
	if c.forbidden[source] == missing {
		return
	}
	c.forbidden[source] = missing
	switch source {
	case k8swatch.SourceEndpointSlices:
		if !c.known[source] || !missing {
			c.reviewEndpoints()
		}
	case k8swatch.SourceLeases:
		if missing && !c.known[source] {
			c.manager.log.Warn("the account may not read leases: this node answers for every service address, as if no other did; two such nodes send packets in circles",
				"namespace", c.config.Namespace)
			c.election.Alone(now)
		}
		c.setSelf(now)
	case k8swatch.SourceServiceCIDRs:
		c.cidrsUnknown = c.cidrsUnknown || missing
		c.kindsChanged()
	case k8swatch.SourceOwnLease:
		c.setSelf(now)
	}
}

// ignoresEndpoints reports whether every node takes traffic for a Local policy, since
// nobody can tell which of them has endpoints.
func (c *cluster) ignoresEndpoints() bool {
	return c.forbidden[k8swatch.SourceEndpointSlices] && !c.known[k8swatch.SourceEndpointSlices]
}

// reviewEndpoints tells the election anew who takes traffic for Local policies.
func (c *cluster) reviewEndpoints() {
	if c.ignoresEndpoints() {
		c.manager.log.Warn("the account may not read endpoints: Local policies of services do not count")
	} else {
		c.manager.log.Info("the account may read endpoints: Local policies of services count again")
	}
	c.decideAll()
}

// isComplete reports whether nothing that is needed was left out for want of a
// permission. What comes later is waited for then.
func (c *cluster) isComplete() bool {
	for source, missing := range c.forbidden {
		if missing && !c.known[source] {
			return false
		}
	}
	return true
}
