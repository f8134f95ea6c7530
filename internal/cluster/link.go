// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// UplinksChanged is to be called when the uplinks that are ready have changed, or
// their links, or the rules of the store. It does not block.
func (m *Manager) UplinksChanged() { post(m.moved) }

// readLinks takes the links of the uplinks over. Without a cluster nobody needs them,
// and with the next one Configure asks for them.
func (m *Manager) readLinks() {
	m.mu.Lock()
	follows := m.current != nil
	m.mu.Unlock()
	if !follows {
		return
	}
	links := m.uplinks.Links()
	m.update(func(now time.Time) {
		m.links = links
		if c := m.current; c != nil {
			c.readLinkAddresses(now)
			c.kindsChanged()
			c.setSelf(now)
			c.publish(now)
		}
	})
}

// Heard takes in a sign of another station on an uplink, and reports whether it
// only concerns who owns a service address: another announcer is no conflict, and
// nobody can be in conflict over what is not answered for here. Any other sign is
// left to the uplink.
func (m *Manager) Heard(uplink string, sign ndp.Sighting) (handled bool) {
	table := m.store.Load()
	if table == nil {
		return false
	}
	// The verdict has to be of the table whose rules it points into.
	verdict := table.View(uplink).Find(sign.Address)
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.current
	if c == nil {
		return false
	}
	if c.standby && verdict != nil && leftToOthers(&table.Rules()[verdict.Rule], verdict) {
		return true // others take over what was ours
	}
	mac := ownership.MAC(sign.MAC)
	others := rules.PresencePrefix().Contains(sign.Address) || verdict != nil && verdict.Silence == rules.NotOwner
	router := c.election.IsRouter(sign.Address)
	others = others || router
	// The kernel of an announcer's node has the address: a daemon answers without
	// Override (RFC 4861 §7.2.8).
	kernel := sign.Advertisement && sign.Solicited && sign.Override && c.shares(sign.Address)
	now := time.Now()
	if !router && (!c.election.Knows(mac) || kernel) {
		if sign.Advertisement && !kernel && c.formers.has(sign.MAC, now) && c.shares(sign.Address) {
			return true // a daemon that ends, or begins anew
		}
		c.used(uplink, sign)
		return others
	}
	if !others && !c.shares(sign.Address) {
		return false
	}
	if sign.Advertisement {
		c.refresh(now)
		c.hear(uplink, sign, now)
		c.publish(now)
		m.rearm()
	}
	// What has answered for so long is another program on the announcer's node.
	return !sign.Advertisement || !sign.Solicited || !c.suspect(uplink, sign, now)
}

// leftToOthers reports whether a node that stands by has nothing to do with an address. A
// rule for pods may take service addresses as well: what a pod has is still answered for.
func leftToOthers(r *rules.Rule, v *rules.Verdict) bool {
	return r.Method == rules.Services || r.TakesServices() && (!v.Hears() || v.Leaving)
}

// Owns reports whether this node is the one that answers for a service address.
func (m *Manager) Owns(a netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current != nil && m.current.owns(a)
}

// Rival reports whether a sign is of a station that has answered for a service address
// of ours for longer, as a proxy does (RFC 4861 §7.2.8): another program's, also on a node
// of the cluster. The address is not left to it, for it may be one that does the same with
// us, and nobody would answer. It is reported once a minute, in the log and as an Event,
// and is true only then.
func (m *Manager) Rival(uplink string, sign ndp.Sighting) bool {
	if !sign.Advertisement || !sign.Solicited || sign.Override {
		return false
	}
	m.mu.Lock()
	reported, logged := false, false
	if c := m.current; c != nil && !slices.ContainsFunc(m.links, func(l Link) bool { return l.MAC == sign.MAC }) {
		now := time.Now()
		if c.suspect(uplink, sign, now) {
			reported, logged = c.reportRival(uplink, sign, now)
		}
		m.rearm()
	}
	m.mu.Unlock()
	if logged {
		m.log.Warn("another station answers for a service address of this node, too: let only one of them announce it",
			"interface", uplink, "address", sign.Address, "mac", macString(sign.MAC))
	}
	return reported
}

// Conflict writes an Event about the pod or service whose address another station
// has, if there is one.
func (m *Manager) Conflict(a netip.Addr, mac [6]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.current
	if c == nil {
		return
	}
	_, pod := c.pods[a]
	_, service := c.services[a]
	if pod || service {
		c.emit(k8swatch.Event{Warning: true, Reason: addressConflict, Message: fmt.Sprintf(
			"The station %s on the uplink of node %s uses %s: it is left to that station while it answers.", c.station(mac), c.config.Node, a)}, a)
	}
}

// station names a station by its MAC address, and by its node where that is another
// announcer's.
func (c *cluster) station(mac [6]byte) string {
	if node := c.election.NodeOf(ownership.MAC(mac)); node != "" {
		return macString(mac) + " (node " + node + ")"
	}
	return macString(mac)
}

func macString(mac [6]byte) string { return net.HardwareAddr(mac[:]).String() }
