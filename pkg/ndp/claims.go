// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

const (
	// claimWindow is how long after a question an answer counts. Stations on
	// Ethernet answer within a few milliseconds.
	claimWindow = 150 * time.Millisecond
	// claimLate is how long after a question an answer, though it no longer
	// counts, is no sign of forgery either; RETRANS_TIMER of RFC 4861 §10.
	claimLate = time.Second
	// claimFirst is the most time from a sign to the first question, and
	// claimSecond the time from that to the second one with the most that is
	// added at random. So a station that answers is recognized within two
	// seconds, and who cannot hear the questions meets both windows once in
	// twenty times.
	claimFirst        = 700 * time.Millisecond
	claimSecond       = 400 * time.Millisecond
	claimSecondSpread = 700 * time.Millisecond
	// claimTentative is how long after the first frame of duplicate address detection a
	// station has the address for certain: that takes a second (RFC 4862 §5.1), and it
	// answers no question before.
	claimTentative = 2 * time.Second
	// claimCheck is how long a claim stands before the station is asked again,
	// and claimCheckSpread the most that is added at random. All stations of the
	// address's group hear the question, so it is not less.
	claimCheck       = 8 * time.Second
	claimCheckSpread = 4 * time.Second
	// claimAgain is the least time between questions that stay unanswered,
	// RETRANS_TIMER of RFC 4861 §10, and claimAgainSpread the most that is added
	// at random.
	claimAgain       = time.Second
	claimAgainSpread = 1500 * time.Millisecond
	// claimTries is how many of them end a claim that stands, as many as
	// MAX_MULTICAST_SOLICIT of RFC 4861 §10.
	claimTries = 3
	// claimStrays is how many answers without a question a claim that stands
	// survives between two checks: the node's own kernel may ask, too.
	claimStrays = 3
	// claimRest is how long signs are ignored after a claim has failed. It
	// doubles each time up to claimRestMost.
	claimRest     = 3 * time.Second
	claimRestMost = time.Minute
	// maxClaims bounds the claims of an uplink.
	maxClaims = 1024
	// questionRate is how many questions a second, and at once, go to stations
	// that have not answered yet, and as many to those that have.
	questionRate = 5
)

// Claims are the addresses that other stations on an uplink use although we
// would answer for them. A sign alone may be forged or old, so the station is
// asked who has the address, twice and at times that cannot be foreseen; when it
// answers both questions the claim stands, until it no longer answers. An answer
// counts only shortly after a question. One that comes at another time shows that
// it is forged, and the claim begins anew after a rest.
//
// Questions go by multicast (RFC 4861 §7.2.2) and reach many stations, so they are
// bounded to ten a second and uplink. The amplification is this: a forged
// advertisement makes us send one frame at most, the question, and a forged
// solicitation two, its answer to one station besides. Each has 86 octets, and the
// shortest forged frame that has this effect 78.
//
// Claims send nothing themselves and are not safe for concurrent use.
type Claims struct {
	byAddress map[netip.Addr]*Claim
	queues    [claimQueues]schedule[*Claim]
	limits    [2]*rate.Limiter // of questions from claimFresh and claimKnown
	free      [2]time.Time     // when the next one may leave
	digest    ClaimDigest
	digested  time.Time
}

// Claim is one such address.
type Claim struct {
	MAC   [6]byte
	Since time.Time
	// Stands is true when the station has answered for the address.
	Stands bool

	address netip.Addr
	answers int // to the questions before it stands
	tries   int // questions without an answer
	strays  int // answers without a question
	asked   time.Time
	rest    time.Duration
	ready   time.Time // when signs count again after a failure
	queue   claimQueue
	due     time.Time
	place   int
}

func (c *Claim) dueAt() time.Time { return c.due }
func (c *Claim) setPlace(i int)   { c.place = i }

// claimQueue is what a claim waits for.
type claimQueue uint8

const (
	claimFresh   claimQueue = iota // the question to a station that has not answered yet
	claimKnown                     // the question to one that has
	claimOpen                      // the end of the time in which an answer counts
	claimResting                   // to be forgotten
	claimQueues
)

// upTo returns a random time that nobody else can foresee.
func upTo(most time.Duration) time.Duration {
	return rand.N(most) //nolint:gosec // the runtime's generator is seeded by the kernel and cannot be foreseen
}

// Sight takes a sign in. begun is true when it is the first one, and stands when
// the claim stands from now on.
func (c *Claims) Sight(s Sighting, now time.Time) (begun, stands bool) {
	// Only with the Override flag is an advertisement no proxy's (RFC 4861
	// §7.2.4, §7.2.8). Linux sets it in answers to multicast solicitations alone.
	if s.Advertisement && !s.Override {
		return false, false
	}
	claim := c.byAddress[s.Address]
	switch {
	case claim == nil:
		return c.begin(s, now), false
	case claim.queue == claimResting:
		if !now.Before(claim.ready) {
			claim.MAC = s.MAC
			c.move(claim, claimFresh, s.askAt(now))
		}
		return false, false
	case !s.Solicited:
		return false, false
	}
	return false, c.hear(claim, s.MAC, now)
}

// askAt returns when the station of a first sign is asked.
func (s *Sighting) askAt(now time.Time) time.Time {
	if s.Tentative {
		now = now.Add(claimTentative)
	}
	return now.Add(upTo(claimFirst))
}

// begin takes the first sign of an address in, where there is room.
func (c *Claims) begin(s Sighting, now time.Time) bool {
	if len(c.byAddress) >= maxClaims {
		if len(c.queues[claimResting]) == 0 {
			c.digest.Refused++
			return false
		}
		c.forget(c.queues[claimResting][0])
	}
	if c.byAddress == nil {
		c.byAddress = make(map[netip.Addr]*Claim)
		for i := range c.limits {
			c.limits[i] = rate.NewLimiter(questionRate, questionRate)
		}
	}
	claim := &Claim{address: s.Address, MAC: s.MAC, Since: now, queue: claimFresh, due: s.askAt(now)}
	c.byAddress[s.Address] = claim
	heap.Push(&c.queues[claimFresh], claim)
	c.digest.Begun++
	return true
}

// hear takes in that a station has answered, and reports whether the claim stands
// from now on.
func (c *Claims) hear(claim *Claim, mac [6]byte, now time.Time) (stands bool) {
	open := claim.queue == claimOpen && now.Before(claim.due)
	switch {
	case open && claim.answers == 0: // whoever had the sign sent, this station is there
		claim.MAC = mac
		claim.answers++
		claim.tries = 0
		c.move(claim, claimKnown, claim.asked.Add(claimSecond+upTo(claimSecondSpread)))
		return false
	// Between the two questions an answer of any other station is a stray, too: who
	// forges many of them, each with a MAC address of its own, would meet the second
	// window far more often.
	case mac != claim.MAC && (open || claim.answers == 0 || claim.Stands):
		return false
	case open:
		stands = !claim.Stands
		claim.Stands, claim.tries, claim.strays, claim.rest = true, 0, 0, 0
		c.move(claim, claimKnown, now.Add(claimCheck+upTo(claimCheckSpread)))
		if stands {
			c.digest.Stood++
			c.digest.Address, c.digest.MAC = claim.address, claim.MAC
		}
		return stands
	case now.Sub(claim.asked) < claimWindow, // the answer that has counted, once more
		claim.tries > 0 && now.Sub(claim.asked) < claimLate,
		now.Sub(claim.Since) < claimWindow: // to the same question of the kernel's as the sign
		return false
	}
	if claim.strays++; !claim.Stands {
		c.fail(claim, now)
	} else if claim.strays > claimStrays { // Due ends it
		claim.tries = claimTries
		c.move(claim, claimOpen, now)
	}
	return false
}

// move makes a claim wait for something else.
func (c *Claims) move(claim *Claim, to claimQueue, due time.Time) {
	heap.Remove(&c.queues[claim.queue], claim.place)
	claim.queue, claim.due = to, due
	heap.Push(&c.queues[to], claim)
}

// fail ends the attempt to confirm a claim. Signs are ignored for a while.
func (c *Claims) fail(claim *Claim, now time.Time) {
	claim.rest = min(max(2*claim.rest, claimRest), claimRestMost)
	claim.ready = now.Add(claim.rest)
	claim.Stands, claim.answers, claim.tries, claim.strays, claim.asked = false, 0, 0, 0, time.Time{}
	c.move(claim, claimResting, claim.ready.Add(claimRestMost))
}

func (c *Claims) forget(claim *Claim) {
	heap.Remove(&c.queues[claim.queue], claim.place)
	delete(c.byAddress, claim.address)
}

// Drop forgets the claim to an address, and reports whether it stood: the
// address has just appeared behind us, or it is none of ours.
func (c *Claims) Drop(a netip.Addr) bool {
	claim := c.byAddress[a]
	if claim == nil {
		return false
	}
	c.forget(claim)
	return claim.Stands
}

// Open reports whether a station is about to be asked for an address, or has answered
// once, so that it is not certain yet whose the address is.
func (c *Claims) Open(a netip.Addr) bool {
	claim := c.byAddress[a]
	return claim != nil && !claim.Stands && claim.queue != claimResting
}

// Asked reports whether a station is asked for an address now and then.
func (c *Claims) Asked(a netip.Addr) bool {
	claim := c.byAddress[a]
	return claim != nil && claim.queue != claimResting
}

// All yields the claims by their address.
func (c *Claims) All(yield func(netip.Addr, Claim) bool) {
	for a, claim := range c.byAddress {
		if !yield(a, *claim) {
			return
		}
	}
}

// Clear forgets everything, as when the uplink is lost.
func (c *Claims) Clear() {
	c.byAddress = nil
	clear(c.queues[:])
}
