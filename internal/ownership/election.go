// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// phase is how far this node has come in taking part.
type phase uint8

const (
	waiting  phase = iota // for a link, and for the leases of the others
	checking              // whether others have taken our addresses over
	member
)

// Election is one announcer's view of who owns what.
type Election struct {
	mode        rules.Ownership
	self        Announcer
	settleAfter time.Duration

	phase  phase
	begun  bool // the leases are known
	alone  bool // the leases may not be read, so nobody else is known
	resume bool // we were settled before the present start
	// irreplaceable is true where nobody else can answer for what this node does.
	irreplaceable bool
	settleAt      time.Time // zero where nothing is to come
	ownSeen       time.Time // when the leases were last known to be current, see Frozen

	peers         map[string]*peer
	addresses     map[netip.Addr]*address
	left          map[netip.Addr]*address  // those that we leave to a peer that announced them
	held          map[netip.Addr]time.Time // those that we still answer for, and until when
	owns          map[string]int           // addresses of each node
	stands        map[string]int           // addresses of which each node is first or second
	published     Announcer                // our record as the API server has it, perhaps of the last process
	lastRecord    Announcer                // our record as Record last returned it
	checks        []*check
	asked         int // how many checks the start began
	changes       []Change
	contests      []Contest
	recordChanged bool
	looked        time.Time // when Due was last called
	elections     uint64    // how often something has changed that may change owners
	disputes      map[netip.Addr]*dispute
	routers       routers
	witnessed     []netip.Addr // what Witnessed last returned
	cutOff        bool         // from the API server and all peers, until it is back
}

// New returns an election in which this node has no link yet.
func New(self Announcer, mode rules.Ownership, settleAfter time.Duration) *Election {
	self.Links = nil
	return &Election{
		mode: mode, self: self, settleAfter: settleAfter, lastRecord: Announcer{Weight: self.Weight},
		peers: make(map[string]*peer), addresses: make(map[netip.Addr]*address), owns: make(map[string]int), stands: make(map[string]int), left: make(map[netip.Addr]*address), held: make(map[netip.Addr]time.Time), disputes: make(map[netip.Addr]*dispute),
	}
}

// Begin starts to take part. The caller has handed over all leases that it knows.
func (e *Election) Begin(now time.Time) {
	if e.begun {
		return
	}
	e.begun, e.recordChanged = true, true
	e.join(now)
	e.electAll()
}

// Alone makes this node act as if it were the only announcer, because it may not
// read the leases.
func (e *Election) Alone(now time.Time) {
	if !e.alone {
		e.alone, e.begun = true, true
		e.join(now)
	}
}

// TakesPart reports whether others may count on us: Begin was called, and we have a
// link.
func (e *Election) TakesPart() bool { return e.begun && len(e.self.Links) > 0 }

// IsAlone reports whether Alone is in force.
func (e *Election) IsAlone() bool { return e.alone }

// Together reverts Alone: the leases are known now.
func (e *Election) Together(now time.Time) {
	if e.alone {
		e.alone, e.phase = false, waiting
		e.join(now)
		e.electAll()
	}
}

// SetSelf updates what this node says of itself, except for Settled, which the
// election decides. A node leaves with its last link, and joins with its first.
func (e *Election) SetSelf(a Announcer, now time.Time) {
	a.Settled, a.Node, a.Holder, a.Weight = e.self.Settled, e.self.Node, e.self.Holder, e.self.Weight
	if a.same(e.self) {
		if !a.sameAddresses(e.self) { // which no rank depends on
			e.self, e.recordChanged = a, true
		}
		return
	}
	had := len(e.self.Links) > 0
	e.self, e.recordChanged = a, true
	switch {
	case len(a.Links) == 0:
		e.resume = e.resume || e.self.Settled
		e.phase, e.checks, e.settleAt = waiting, nil, time.Time{}
		e.releaseAll()
		e.quiet(now)
	case !had:
		e.join(now)
	}
	e.electAll()
}

// quiet resets the liveness checks of all peers.
func (e *Election) quiet(now time.Time) {
	for _, p := range e.peers {
		p.misses, p.vouched, p.open, p.due = 0, 0, false, now
	}
}

// join takes part again, after checking whether others have taken our addresses over.
func (e *Election) join(now time.Time) {
	if !e.begun || len(e.self.Links) == 0 || e.phase != waiting {
		return
	}
	e.quiet(now)
	switch {
	case e.mode != rules.OwnershipHash, e.alone, !e.anyPeer():
		e.enter(true, now)
	case !e.resume:
		e.enter(false, now)
	default:
		e.checkAll(now)
		if len(e.checks) == 0 {
			e.enter(true, now)
			return
		}
		e.phase = checking
	}
}

func (e *Election) anyPeer() bool {
	for _, p := range e.peers {
		if p.live() && !p.Joining {
			return true
		}
	}
	return false
}

// enter makes this node a member.
func (e *Election) enter(settled bool, now time.Time) {
	e.phase, e.resume = member, false
	e.setSettled(settled, now)
	e.electAll()
}

// setSettled sets whether this node ranks like the others, or behind them for now.
func (e *Election) setSettled(settled bool, now time.Time) {
	if e.self.Settled != settled {
		e.self.Settled, e.recordChanged = settled, true
	}
	e.settleAt = time.Time{}
	if !settled {
		e.settleAt = now.Add(e.settleAfter)
	}
}

// Configure sets this node's weight, and how long it waits before it takes its share
// when it returns. A wait that has begun is not changed.
func (e *Election) Configure(weight int, settleAfter time.Duration) {
	if e.self.Weight != weight {
		e.self.Weight, e.recordChanged = weight, true
		e.electAll()
	}
	e.settleAfter = settleAfter
}

// Status returns a snapshot for people.
func (e *Election) Status(now time.Time) Status {
	s := Status{
		Owned: e.owns[e.self.Node], Addresses: len(e.addresses),
		Frozen: e.Frozen(now), Settled: e.self.Settled, Alone: e.alone,
	}
	if e.mode == rules.OwnershipHash {
		s.Unowned, s.Contested = e.unowned(now), e.contested(now)
	}
	if e.phase == member {
		s.Announcers++
	}
	for _, p := range e.peers {
		if p.live() {
			s.Announcers++
		}
		s.Peers = append(s.Peers, PeerStatus{
			Node: p.Node, Owns: e.owns[p.Node], Excluded: p.Excluded,
			Settled: p.Settled, Cordoned: p.Cordoned, Expired: p.expired, Silent: p.dead(), Heard: p.heard(),
		})
	}
	slices.SortFunc(s.Peers, func(a, b PeerStatus) int { return cmp.Compare(a.Node, b.Node) })
	return s
}

// SetIrreplaceable sets whether no other node can answer in this one's place, so that it
// answers although it is not fit. It counts where every node answers.
func (e *Election) SetIrreplaceable(is bool) {
	if e.irreplaceable != is {
		e.irreplaceable = is
		e.electAll()
	}
}

// Irreplaceable returns what SetIrreplaceable has set.
func (e *Election) Irreplaceable() bool { return e.irreplaceable }

// Owner returns who is first and second in line for an address, "" for nobody.
func (e *Election) Owner(s netip.Addr) (owner, backup string) {
	if a := e.addresses[s]; a != nil {
		return a.owner, a.backup
	}
	return "", ""
}
