// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// deferFor is how long an address is left to another announcer that has
	// just announced it, until the leases explain that.
	deferFor = 5 * time.Second
	// askLeft is how often that announcer is asked meanwhile.
	askLeft = time.Second
)

// phase is how far we are in taking part.
type phase uint8

const (
	waiting  phase = iota // for a link, and for what the others say
	checking              // whether others have taken over what would be ours
	member
)

// Election is one announcer's view of who owns what.
type Election struct {
	mode        rules.Ownership
	self        Announcer
	settleAfter time.Duration

	phase    phase
	begun    bool      // the leases are known
	alone    bool      // the leases may not be read, so nobody else is known
	resume   bool      // we were settled before the present start
	settleAt time.Time // zero where nothing is to come
	ownSeen  time.Time // when the leases last told something: a list, our renewal

	peers         map[string]*peer
	addresses     map[netip.Addr]*address
	left          map[netip.Addr]*address  // those that are left to somebody
	held          map[netip.Addr]time.Time // those that we still answer for, and until when
	owns          map[string]int           // addresses of each node
	stands        map[string]int           // addresses of which each node is first or second
	published     Announcer                // what others know of us
	said          Announcer                // what our lease was last given
	ranks         Announcer                // what we rank ourselves by
	checks        []*check
	asked         int // checks of the start
	changes       []Change
	recordChanged bool
	looked        time.Time // when Due was last called
}

// peer is another announcer.
type peer struct {
	Announcer
	seen    time.Time // when its lease was last renewed
	expired bool      // its lease has ended
	dead    bool      // it is silent on the link
	misses  int
	asked   time.Time
	due     time.Time // of the next question on the link
	open    bool      // a question is unanswered
	answers bool      // it has answered on the link
}

func (p *peer) live() bool { return !p.expired && !p.dead }

// address is a service address.
type address struct {
	local         bool
	nodes         []string
	owner, backup string
	leftTo        string    // an announcer that has just announced it, "" for none
	since, until  time.Time // when it was left, and when to ask about it next
}

// Fact is what holds for a service address.
type Fact struct {
	Address netip.Addr
	// Gone is true when it is allocated no more.
	Gone bool
	// Local is true when only Nodes, in order, take traffic for it.
	Local bool
	Nodes []string
}

// Change is what an election changes for an address.
type Change struct {
	Address netip.Addr
	// Gone is true when it is allocated no more.
	Gone bool
	// Ours is true when this node answers: it is the owner, or was, and the owner has
	// not announced the address yet.
	Ours bool
	// Owner, Backup and Before are names of nodes, "" for none.
	Owner, Backup, Before string
}

// New begins an election in which this node has no link yet.
func New(self Announcer, mode rules.Ownership, settleAfter time.Duration) *Election {
	self.Links = nil
	return &Election{
		mode: mode, self: self, settleAfter: settleAfter,
		peers: make(map[string]*peer), addresses: make(map[netip.Addr]*address), owns: make(map[string]int), stands: make(map[string]int), left: make(map[netip.Addr]*address), held: make(map[netip.Addr]time.Time),
	}
}

// Begin starts to take part: what is known of the others is in.
func (e *Election) Begin(now time.Time) {
	if e.begun {
		return
	}
	e.begun, e.recordChanged = true, true
	e.join(now)
	e.electAll()
}

// Alone makes this node act as if no other announced anything: it may not read
// the leases.
func (e *Election) Alone(now time.Time) {
	if !e.alone {
		e.alone, e.begun = true, true
		e.join(now)
	}
}

// TakesPart reports whether others may count on us: we have a link, and what is
// known of them and of services is in.
func (e *Election) TakesPart() bool { return e.begun && len(e.self.Links) > 0 }

// IsAlone reports whether nobody else is known for want of a permission.
func (e *Election) IsAlone() bool { return e.alone }

// Together ends what Alone began: the leases are known now.
func (e *Election) Together(now time.Time) {
	if e.alone {
		e.alone, e.phase = false, waiting
		e.join(now)
		e.electAll()
	}
}

// SetSelf takes over what this node says of itself, but for Settled. It leaves
// with its last link, and joins with the first.
func (e *Election) SetSelf(a Announcer, now time.Time) {
	a.Settled, a.Node, a.Holder, a.Weight = e.self.Settled, e.self.Node, e.self.Holder, e.self.Weight
	if a.same(e.self) {
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

// quiet forgets what the link said of others.
func (e *Election) quiet(now time.Time) {
	for _, p := range e.peers {
		p.misses, p.open, p.due = 0, false, now
	}
}

// join takes part again, after a look at whether others have taken over.
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

// enter takes part from now on.
func (e *Election) enter(settled bool, now time.Time) {
	e.phase, e.resume = member, false
	e.setSettled(settled, now)
	e.electAll()
}

// setSettled says whether we count like the others.
func (e *Election) setSettled(settled bool, now time.Time) {
	if e.self.Settled != settled {
		e.self.Settled, e.recordChanged = settled, true
	}
	e.settleAt = time.Time{}
	if !settled {
		e.settleAt = now.Add(e.settleAfter)
	}
}

// Configure sets what the configuration says of this node's share, and of how long it
// waits for it when it returns. A wait that has begun goes on as it was.
func (e *Election) Configure(weight int, settleAfter time.Duration) {
	if e.self.Weight != weight {
		e.self.Weight, e.recordChanged = weight, true
		e.electAll()
	}
	e.settleAfter = settleAfter
}

// Update takes changes of service addresses over.
func (e *Election) Update(facts []Fact) {
	for _, f := range facts {
		a := e.addresses[f.Address]
		switch {
		case f.Gone && a == nil:
		case f.Gone:
			e.count(a, -1)
			delete(e.addresses, f.Address)
			delete(e.left, f.Address)
			delete(e.held, f.Address)
			e.changes = append(e.changes, Change{Address: f.Address, Gone: true, Before: a.owner})
		case a == nil:
			a = &address{local: f.Local, nodes: f.Nodes}
			e.addresses[f.Address] = a
			owner, backup := e.elect(f.Address, a)
			e.assign(f.Address, a, owner, backup, true)
		default:
			a.local, a.nodes = f.Local, f.Nodes
			e.reelect(f.Address, a)
		}
	}
}

// Changes returns what has changed since it was last called, and is to be put in
// force now.
func (e *Election) Changes(now time.Time) []Change {
	changes := e.changes
	e.changes = nil
	for _, c := range changes {
		if until, held := e.held[c.Address]; held && until.IsZero() {
			e.held[c.Address] = now.Add(HandOver)
		}
	}
	return changes
}

// Speaks reports whether what Record returns holds: a node that asks on the link who
// has taken over does not know yet what it is.
func (e *Election) Speaks() bool { return e.begun && e.phase != checking }

// Record returns what belongs into our lease, with the nodes that should announce as
// well. While we do not speak, that is what it was before: others would leave
// addresses to us that we do not take.
func (e *Election) Record(requests ...string) string {
	if e.phase != checking {
		e.said = e.self
		e.said.Joining = !e.begun
	}
	e.said.Requests = requests
	return e.said.Record()
}

// RecordChanged reports whether the record has changed since it was last called.
func (e *Election) RecordChanged() bool {
	changed := e.recordChanged
	e.recordChanged = false
	return changed
}
