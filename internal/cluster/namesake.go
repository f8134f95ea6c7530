// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// namesake is another daemon with the name of this node, as of a cloned configuration,
// that had the name first.
type namesake struct {
	lease *k8swatch.Lease // of this node and by another process, as last seen
	alive bool            // it renews the lease
	macs  string          // its link-layer addresses
}

// hasNamesake reports whether the lease of this node may be kept by another host: then
// nothing is owned here. A process of this host that has ended is none.
func (c *cluster) hasNamesake() bool {
	if held := new(k8swatch.HeldError); c.namesake.alive || errors.As(c.leaseFault, &held) {
		return true
	}
	l := c.namesake.lease
	return !c.leaseHeld && l != nil && c.heard[k8swatch.SourceLeases] && !c.isOwn(l.Record)
}

// sameHost reports whether a record is one of this host.
func (c *cluster) sameHost(record string) bool {
	c.manager.mu.Lock()
	defer c.manager.mu.Unlock()
	return c.isOwn(record)
}

// isOwn reports whether a record and the uplinks have a link-layer address in common.
// While no uplink is ready, or was for the other, nobody can tell.
func (c *cluster) isOwn(record string) bool {
	a, err := ownership.ParseRecord(c.config.Node, "", record)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(a.Links, func(l ownership.Link) bool {
		return slices.ContainsFunc(c.manager.links, func(own Link) bool { return ownership.MAC(own.MAC) == l.MAC })
	})
}

// noteNamesake takes in whether another daemon has been seen to keep our lease.
func (c *cluster) noteNamesake(err error) {
	held := new(k8swatch.HeldError)
	alive := errors.As(err, &held) && held.Alive
	if alive == c.namesake.alive || err != nil && !errors.As(err, &held) { // another fault tells nothing of it
		return
	}
	c.namesake.alive, c.namesake.macs = alive, ""
	c.replacePods()
	c.replacePrefixes()
	if !alive {
		c.manager.log.Info("no other daemon keeps the lease of this node any more", "node", c.config.Node)
		return
	}
	if a, err := ownership.ParseRecord(c.config.Node, held.Holder, held.Record); err == nil {
		var macs []string
		for _, l := range a.Links {
			macs = append(macs, macString(l.MAC))
		}
		c.namesake.macs = strings.Join(macs, ", ")
	}
	c.manager.log.Warn("another daemon has the name of this node, and had it first: this one owns nothing until one of them has another name, by the key kubernetes.node",
		"node", c.config.Node, "holder", held.Holder, "mac", c.namesake.macs)
	c.watcher.Emit(k8swatch.Event{Warning: true, Reason: "NodeNameShared", Message: fmt.Sprintf(
		"Two daemons have the name of node %s. The one with the link-layer address %s keeps the lease; the other one owns nothing until it has a name of its own.",
		c.config.Node, c.namesake.macs)})
}

// Namesake describes the daemon that has the name of this node as well, and had it
// first; "" for none.
func (m *Manager) Namesake() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == nil {
		return ""
	}
	return m.current.namesake.text()
}

// text describes the namesake, "" for none.
func (n namesake) text() string {
	switch {
	case !n.alive:
		return ""
	case n.macs == "":
		return "another daemon"
	}
	return "the daemon with the link-layer address " + n.macs
}

// ownLeaseChanged takes in who keeps the lease of this node.
func (c *cluster) ownLeaseChanged(l k8swatch.Lease, gone bool, now time.Time) {
	c.namesake.lease = nil
	if !gone && l.Holder != c.manager.holder {
		c.namesake.lease = &l
	}
	c.setSelf(now)
}
