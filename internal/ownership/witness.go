// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Reach is what a node knows of the way to its routers. It asks them only while a peer
// is silent: the one of the two that they hear is the one that they ask.
type Reach string

// The kinds of Reach.
const (
	ReachUnknown Reach = ""
	RouterHeard  Reach = "heard"
	RouterSilent Reach = "silent"
)

const (
	// routerWait is how long a router may take to answer, and routerMisses unanswered
	// questions make it silent. routerEvery is how often one is asked that answers.
	routerWait, routerMisses, routerEvery = 250 * time.Millisecond, 6, 2 * time.Second
	// recordLag is how long a peer's record may be of before its silence: it has to
	// miss others itself, and to write that.
	recordLag = time.Second
	// unheardAsks is how often a peer is asked that has never answered before that means
	// something.
	unheardAsks = 4
	// maxHears bounds the names in a record.
	maxHears = 64
)

// routers are the routers of our links, and what is known of the way to them.
type routers struct {
	addresses []netip.Addr
	reach     Reach
	misses    int
	due       time.Time
}

// SetRouters sets the addresses of the routers on our links.
func (e *Election) SetRouters(addresses []netip.Addr) {
	if !slices.Equal(e.routers.addresses, addresses) {
		e.routers = routers{addresses: addresses}
	}
}

// IsRouter reports whether an address is that of a router on our links.
func (e *Election) IsRouter(a netip.Addr) bool { return slices.Contains(e.routers.addresses, a) }

// doubts reports whether a peer on our links is not heard although its lease is renewed.
func (e *Election) doubts() bool {
	for _, p := range e.peers {
		if !p.expired && (p.silent || p.unheard >= unheardAsks && e.self.sameLink(&p.Announcer)) {
			return true
		}
	}
	return false
}

// routersDue asks the routers while there is doubt.
func (e *Election) routersDue(now time.Time) []Ask {
	r := &e.routers
	if len(r.addresses) == 0 {
		return nil
	}
	if !e.doubts() {
		r.reach, r.misses, r.due = ReachUnknown, 0, time.Time{}
		return nil
	}
	if now.Before(r.due) {
		return nil
	}
	r.due = now.Add(routerWait)
	if r.misses++; r.misses > routerMisses {
		r.due = now.Add(routerEvery)
		e.setReach(RouterSilent, now)
	}
	asks := make([]Ask, 0, len(r.addresses))
	for _, a := range r.addresses {
		asks = append(asks, Ask{Target: a})
	}
	return asks
}

// routerAnswered notes that a router hears us.
func (e *Election) routerAnswered(now time.Time) {
	if e.routers.due.IsZero() {
		return // nobody asked
	}
	e.routers.misses, e.routers.due = 0, now.Add(routerEvery)
	e.setReach(RouterHeard, now)
}

func (e *Election) setReach(r Reach, now time.Time) {
	if e.routers.reach == r {
		return
	}
	e.routers.reach, e.recordChanged = r, true
	e.electIf(e.judge(now))
}

// hears returns the names of the peers that are heard on the link, in order.
func (e *Election) hears() []string {
	names := make([]string, 0, len(e.peers)) // an empty list, for nil is what older versions write
	for _, p := range e.peers {
		if p.heard() {
			names = append(names, p.Node)
		}
	}
	slices.Sort(names)
	return names[:min(len(names), maxHears)]
}

// Witnessed returns the addresses at which this node tells others that it hears certain
// peers, in order. They change only when a peer comes, or falls silent.
func (e *Election) Witnessed() []netip.Addr {
	if e.mode != rules.OwnershipHash || e.alone || len(e.self.Links) == 0 {
		return nil
	}
	n := 0
	same := true
	for _, p := range e.peers {
		heard := p.heard()
		if same = same && heard == p.told; heard {
			n++
		}
	}
	if same && n == len(e.witnessed) {
		return e.witnessed
	}
	e.witnessed = make([]netip.Addr, 0, n)
	for _, p := range e.peers {
		if p.told = p.heard(); p.told {
			e.witnessed = append(e.witnessed, rules.Witness(p.Node))
		}
	}
	slices.SortFunc(e.witnessed, netip.Addr.Compare)
	return e.witnessed
}

// judge decides which silent peers are alive all the same, by the records that they
// have written since, and whether it is us who is cut off. It reports whether another
// peer counts now. While the API server is away nothing new is known.
func (e *Election) judge(now time.Time) (changed bool) {
	if e.Frozen(now) {
		return false
	}
	cut := false
	for _, p := range e.peers {
		if !p.silent || p.expired || !p.renewed.After(p.silentAt) {
			continue
		}
		excused, us := e.excuse(p)
		cut = cut || us
		if excused != p.excused {
			p.excused, changed = excused, true
			e.reassertSoon(p, now)
		}
	}
	if cut && e.phase == member { // others go on without us, and will for a while when we are back
		e.setSettled(false, now)
	}
	return changed
}

// excuse tells whether a silent peer whose lease is renewed takes part all the same, and
// whether it is us who is cut off from the link.
//
// What counts is whom the routers reach: two that both do are kept apart by the link, as
// isolated ports of a switch are, and share the addresses by their leases. Where nobody
// can ask a router, it is whom the others hear.
func (e *Election) excuse(p *peer) (excused, cut bool) {
	ours, its := e.routers.reach, p.Router
	switch {
	case ours == RouterHeard && its == RouterSilent:
		return false, false
	case ours == RouterSilent && its == RouterHeard:
		return true, true
	case ours == RouterHeard && its == RouterHeard:
		return true, false
	case p.Hears == nil || p.renewed.Before(p.silentAt.Add(recordLag)): // it is of an older version, or of before
		return p.excused, false
	case slices.Contains(p.Hears, e.self.Node): // frames pass in one direction
		return true, false
	case e.hearsNobody() && len(p.Hears) > 0:
		return true, true
	case e.hearsNobody(): // it may be dead to the link, or the link may keep all apart
		return p.excused || e.apart() > 1, false
	}
	return false, false
}

// hearsNobody reports whether all peers that were ever heard are silent.
func (e *Election) hearsNobody() bool {
	for _, p := range e.peers {
		if p.heard() {
			return false
		}
	}
	return true
}

// apart returns how many peers on our links that are not heard renew their leases, and
// hear nobody either.
func (e *Election) apart() (n int) {
	for _, p := range e.peers {
		switch {
		case p.expired, p.silent && !p.renewed.After(p.silentAt), p.Hears == nil || len(p.Hears) > 0:
		case p.silent || p.unheard >= unheardAsks && e.self.sameLink(&p.Announcer):
			n++
		}
	}
	return n
}

// isBehind reports whether others have probably gone on without us while we could not
// tell: they announced what is ours, or we were cut off from all. It counts when the API
// server is back.
func (e *Election) isBehind() bool {
	if e.cutOff {
		return true
	}
	asked := make(map[string]bool)
	for _, a := range e.left {
		if p := e.peers[a.leftTo]; p != nil && !asked[a.leftTo] {
			asked[a.leftTo] = true
			if e.tookOver(p) {
				return true
			}
		}
	}
	return false
}

// stepBack has this node wait as after a start if it is behind: the API server is back,
// or about to be.
func (e *Election) stepBack(now time.Time) {
	if e.phase == member && e.Frozen(now) && e.isBehind() {
		e.setSettled(false, now)
	}
}

// noteCutOff notes that this node is cut off from all: from the API server, and from the
// peers that it has heard.
func (e *Election) noteCutOff(now time.Time) {
	if e.cutOff || !e.Frozen(now) || !e.hearsNobody() {
		return
	}
	for _, p := range e.peers {
		e.cutOff = e.cutOff || p.silent
	}
}
