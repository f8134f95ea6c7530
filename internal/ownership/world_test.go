// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	step      = 10 * time.Millisecond
	renewal   = 3300 * time.Millisecond
	settleFor = 10 * time.Second
	// linkDelay is how long a question and its answer take, which the API server
	// may be ahead of.
	linkDelay = 3 * step
)

var servicePrefix = netip.MustParsePrefix("2001:db8:1:0:e::/112")

// world is some announcers on a link with an API server, all of them simulated:
// what is tested is the election alone. Time goes by in steps.
type world struct {
	t     *testing.T
	now   time.Time
	nodes []*node
	facts []ownership.Fact
	// api is true while the API server answers; leases are what it has.
	api    bool
	leases map[string]ownership.Announcer
	// underway is what is on its way on the link, or from the API server.
	underway []delivery
	// lag is how long a lease takes from the API server to a node.
	lag func(lease string, to *node) time.Duration
	wires
}

// delivery is what happens at a time.
type delivery struct {
	at time.Time
	do func()
}

// node is an announcer.
type node struct {
	name     string
	mac      ownership.MAC
	process  int
	election *ownership.Election // nil while the daemon does not run
	ours     map[netip.Addr]bool
	renewed  time.Time
	heard    bool // the API server, since the start
	cut      bool // from the API server
	deaf     bool // the link is down
	stopping bool // it has given its lease back, and follows the leases no more
	link     byte // which one it is on
	excluded string
	offset   time.Duration    // of its clock
	facts    []ownership.Fact // its view of services, nil for that of the world
	watched  map[string]ownership.Announcer
	missed   map[string]bool // leases that were renewed while it was cut off
	moves    int
	// foreign are addresses that another program on the node answers for.
	foreign map[netip.Addr]bool
}

func newWorld(t *testing.T, nodes, services int) *world {
	w := &world{t: t, now: time.Unix(1_000_000, 0), api: true, leases: make(map[string]ownership.Announcer)}
	for i := range services {
		a := servicePrefix.Addr().As16()
		a[14], a[15] = byte(i>>8), byte(i)
		w.facts = append(w.facts, ownership.Fact{Address: netip.AddrFrom16(a)})
	}
	for i := range nodes {
		w.nodes = append(w.nodes, &node{name: fmt.Sprintf("n%d", i), mac: ownership.MAC{2, 0, 0, 0, 0, byte(i)}})
	}
	return w
}

// start starts a node's daemon. It knows what the API server has.
func (w *world) start(n *node) { w.startWith(n, w.leases) }

// startWith starts a node's daemon that knows of leases from its snapshot, if not
// from the server.
func (w *world) startWith(n *node, leases map[string]ownership.Announcer) {
	n.process++
	n.stopping, n.missed = false, make(map[string]bool)
	n.ours, n.watched, n.renewed, n.heard = make(map[netip.Addr]bool), make(map[string]ownership.Announcer), time.Time{}, false
	n.election = ownership.New(ownership.Announcer{Node: n.name, Holder: fmt.Sprint(n.process), Weight: 1}, rules.OwnershipHash, settleFor)
	n.election.Update(w.factsOf(n))
	for _, l := range leases {
		n.election.Renewed(l, w.clock(n))
		n.watched[l.Node] = l
	}
	n.election.SetRouters(w.routers)
	n.election.Begin(w.clock(n))
	w.link(n)
}

// clock is what a node's clock shows.
func (w *world) clock(n *node) time.Time { return w.now.Add(n.offset) }

// factsOf is what a node knows of services.
func (w *world) factsOf(n *node) []ownership.Fact {
	if n.facts != nil {
		return n.facts
	}
	return w.facts
}

// link tells the election of its uplink.
func (w *world) link(n *node) { n.election.SetSelf(w.self(n), w.clock(n)) }

// onLink is the prefix of a link. Services are in that of the first one.
func onLink(link byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, link}), 64)
}

// self is what a node says of itself.
func (w *world) self(n *node) (self ownership.Announcer) {
	self.Excluded = n.excluded
	if !n.deaf {
		self.Links = []ownership.Link{{MAC: n.mac, Prefixes: []netip.Prefix{servicePrefix}, OnLink: []netip.Prefix{onLink(n.link)}}}
	}
	return self
}

func (w *world) kill(n *node) { n.election, n.ours = nil, nil }

// stop is a planned stop: the lease goes first.
func (w *world) stop(n *node) {
	if w.api && !n.cut {
		delete(w.leases, n.name)
	}
	n.stopping = true
	w.run(500 * time.Millisecond)
	w.kill(n)
}

// run lets time go by, in steps. Those in which nothing is due are left out.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.deliver()
		for _, n := range w.nodes {
			if n.election != nil {
				w.turn(n)
			}
		}
		next := end
		if len(w.underway) > 0 && w.underway[0].at.Before(next) {
			next = w.underway[0].at
		}
		for _, n := range w.nodes {
			if at, ok := w.nextTurn(n); ok && at.Before(next) {
				next = at
			}
		}
		for w.now = w.now.Add(step); w.now.Before(next); {
			w.now = w.now.Add((next.Sub(w.now) + step - 1) / step * step)
		}
	}
}

// nextTurn is when something is due for a node.
func (w *world) nextTurn(n *node) (at time.Time, ok bool) {
	if n.election == nil {
		return at, false
	}
	if at, ok = n.election.Next(); ok {
		at = at.Add(-n.offset)
	}
	if renew := n.renewed.Add(renewal); w.api && !n.cut && !n.stopping && (!ok || renew.Before(at)) {
		at, ok = renew, true
	}
	return at, ok
}

func (w *world) turn(n *node) {
	if w.api && !n.cut && !n.stopping {
		if !n.heard {
			n.heard = true
			n.election.Heard(w.clock(n))
		}
		for name := range n.missed { // a new list has them
			delete(n.missed, name)
			if lease, there := w.leases[name]; there {
				w.watch(n, lease)
			}
		}
		changed := n.election.RecordChanged()
		if first := n.renewed.IsZero(); (!first || n.election.Speaks()) && (changed || w.now.Sub(n.renewed) >= renewal) {
			a, err := ownership.ParseRecord(n.name, fmt.Sprint(n.process), n.election.Record())
			if err != nil {
				w.t.Fatal(err)
			}
			n.renewed = w.now
			w.leases[n.name] = a
			for _, o := range w.nodes {
				w.watch(o, a)
			}
		}
		for name := range n.watched {
			if _, there := w.leases[name]; !there {
				n.election.Left(name)
				delete(n.watched, name)
			}
		}
	}
	if at, ok := n.election.Next(); ok && !at.After(w.clock(n)) {
		asks := n.election.Due(w.clock(n))
		for _, ask := range asks {
			w.ask(n, ask)
		}
		if at, ok := n.election.Next(); ok && !at.After(w.clock(n)) {
			w.t.Fatalf("%s: %s is still due after Due, which makes the loop spin", n.name, w.clock(n).Sub(at))
		}
	}
	w.apply(n)
}

// watch brings a lease to a node.
func (w *world) watch(n *node, lease ownership.Announcer) {
	process := n.process
	if n.cut && n.missed != nil {
		n.missed[lease.Node] = true
		return
	}
	take := func() {
		if n.election != nil && !n.cut && !n.stopping && n.process == process {
			n.election.Renewed(lease, w.clock(n))
			n.watched[lease.Node] = lease
		}
	}
	if w.lag == nil {
		take()
		return
	}
	w.send(w.lag(lease.Node, n), take)
}

// send has something done after a delay.
func (w *world) send(delay time.Duration, do func()) {
	at := w.now.Add(delay)
	i := len(w.underway)
	for i > 0 && w.underway[i-1].at.After(at) {
		i--
	}
	w.underway = slices.Insert(w.underway, i, delivery{at, do})
}

// deliver does what has arrived.
func (w *world) deliver() {
	for len(w.underway) > 0 && !w.underway[0].at.After(w.now) {
		next := w.underway[0]
		w.underway = w.underway[1:]
		next.do()
	}
}
