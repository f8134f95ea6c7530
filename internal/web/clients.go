// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// group is one of the kinds of clients that never share a limit.
type group uint8

const (
	// strangers are all clients but those of the other groups.
	strangers group = iota
	// acquaintances have authenticated in the last hour.
	acquaintances
	// insiders are processes of this host that belong to root or to the daemon's
	// own user, as a kubelet that probes does.
	insiders

	groups // how many there are
)

const (
	// maxConnections bounds the open connections of each group.
	maxConnections = 32
	// maxOfClient bounds those of one client among strangers or acquaintances.
	maxOfClient = 8
	// maxAcquaintances bounds the clients that are remembered for having
	// authenticated, and acquaintance how long each is.
	maxAcquaintances, acquaintance = 64, time.Hour
	// ipv6Network is the prefix length of what counts as one IPv6 client: its
	// subnet, out of which a station can take any address (RFC 8981).
	ipv6Network = 64
)

// client is who makes a connection: a user of this host, or a network address.
type client struct {
	user    uint32
	local   bool // user counts, and not network
	network netip.Prefix
}

// insider reports whether the client is root or the daemon's own user.
func (c client) insider() bool {
	return c.local && (c.user == 0 || int64(c.user) == int64(os.Getuid()))
}

// clients counts the connections of an endpoint by client. Its methods may be
// called by any goroutine; the lock is held for no I/O.
type clients struct {
	// userOf returns the user whose process is at the other end of a connection
	// from this host.
	userOf func(local, remote net.Addr) (uid uint32, ok bool)

	mu    sync.Mutex
	open  map[*connection]struct{}
	known map[client]time.Time // when an acquaintance was last authenticated
	count uint64               // connections so far
}

func newClients(userOf func(local, remote net.Addr) (uint32, bool)) *clients {
	return &clients{userOf: userOf, open: make(map[*connection]struct{}), known: make(map[client]time.Time)}
}

// identify returns who is at the other end of a connection.
func (cs *clients) identify(conn net.Conn) client {
	if uid, ok := cs.userOf(conn.LocalAddr(), conn.RemoteAddr()); ok {
		return client{user: uid, local: true}
	}
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return client{}
	}
	addr := a.AddrPort().Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = ipv6Network
	}
	network, _ := addr.Prefix(bits) // an address has room for these bits
	return client{network: network}
}

// groupOf returns the group of a client. The lock is held.
func (cs *clients) groupOf(c client) group {
	if c.insider() {
		return insiders
	}
	if at, ok := cs.known[c]; ok && time.Since(at) < acquaintance {
		return acquaintances
	}
	return strangers
}

// admit adds a connection, and returns the one that has to be closed for it,
// which is the new one itself where its group serves requests on all of them.
func (cs *clients) admit(c *connection) (displaced *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.group = cs.groupOf(c.client)
	cs.count++
	c.number = cs.count
	ofGroup := 0
	ofClient := make(map[client]int)
	for o := range cs.open {
		if o.group == c.group {
			ofGroup++
			ofClient[o.client]++
		}
	}
	switch {
	case c.group != insiders && ofClient[c.client] >= maxOfClient:
		displaced = cs.oldest(c, func(o *connection) bool { return o.client == c.client })
	case ofGroup >= maxConnections:
		most := 0
		for _, n := range ofClient {
			most = max(most, n)
		}
		displaced = cs.oldest(c, func(o *connection) bool { return ofClient[o.client] == most })
		if displaced == c { // those with the most are all served
			displaced = cs.oldest(c, func(*connection) bool { return true })
		}
	}
	if displaced != c {
		cs.open[c] = struct{}{}
	}
	delete(cs.open, displaced)
	return displaced
}

// oldest returns the oldest connection in the group of c that serves no request
// and is one of those, c itself if there is none. The lock is held.
func (cs *clients) oldest(c *connection, those func(*connection) bool) *connection {
	found := c
	for o := range cs.open {
		if o.group == c.group && !o.serving && those(o) && o.number < found.number {
			found = o
		}
	}
	return found
}

// remember makes the client of a connection an acquaintance.
func (cs *clients) remember(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.group == insiders {
		return
	}
	if _, ok := cs.known[c.client]; !ok && len(cs.known) >= maxAcquaintances {
		var oldest client
		for k, at := range cs.known {
			if oldest == (client{}) || at.Before(cs.known[oldest]) {
				oldest = k
			}
		}
		delete(cs.known, oldest)
	}
	cs.known[c.client] = time.Now()
	c.group = acquaintances
}
