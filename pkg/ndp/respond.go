// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Result is what Respond made of one frame.
type Result struct {
	// Reason is Answered when there is an advertisement, and else why not.
	Reason Reason
	// Kind classifies the solicitation, also an invalid one.
	Kind Kind
	// Redirected is true when the answer goes to the link-layer address that
	// the solicitation names and not to the Ethernet source.
	Redirected bool
	// Delay is the upper bound of the random delay before the answer leaves,
	// 0 for at once.
	Delay time.Duration
}

// Respond answers one received frame: it writes the whole answer to reply when
// the result's reason is [Answered], and leaves reply alone otherwise. view is
// nil before the first table is published.
//
// No octet of the reply comes from anywhere but the interface, the
// solicitation's target, and the asker's addresses.
func Respond(reply *Advertisement, frame []byte, meta Meta, i *Interface, view *rules.View) Result {
	var s solicitation
	return s.respond(reply, frame, meta, i, view)
}

// respond is Respond that leaves the solicitation behind, for a later answer.
func (s *solicitation) respond(reply *Advertisement, frame []byte, meta Meta, i *Interface, view *rules.View) Result {
	res := Result{Kind: kindOf(frame)}
	if res.Reason = checkLink(frame, meta, i); res.Reason != Answered {
		return res
	}
	if res.Reason = s.parse(frame, meta.ChecksumPartial); res.Reason != Answered {
		return res
	}
	res.Redirected = s.asker != s.ether
	var verdict rules.Verdict
	verdict, res.Reason = s.answer(reply, i, view)
	if s.dest.IsMulticast() { // RFC 4861 §7.2.8: only these need spreading
		res.Delay = verdict.Delay
	}
	return res
}

// answer writes the advertisement for a valid solicitation, if it gets one.
func (s *solicitation) answer(reply *Advertisement, i *Interface, view *rules.View) (rules.Verdict, Reason) {
	verdict, reason := decide(s.target, i, view)
	if reason == Answered {
		reason = s.checkAsker(i, verdict)
	}
	if reason != Answered {
		return verdict, reason
	}
	source := i.Source(s.source, s.target)
	if !source.IsValid() { // RFC 4861 §4.4: never from the unspecified address
		return verdict, NoSourceAddress
	}
	reply.fill(i, s, source)
	return verdict, Answered
}

// checkLink holds the rules of the link layer, before a header is looked at.
func checkLink(frame []byte, meta Meta, i *Interface) Reason {
	if meta.Type > PacketMulticast {
		return NotForUs
	}
	if meta.Index != i.index {
		return OtherInterface
	}
	if meta.VLAN != 0 {
		return VLAN
	}
	// Our own solicitation came back (RFC 4862 §5.4.3), or our own side asks.
	if len(frame) >= offEtherType && macAt(frame, offEtherSrc) == i.mac {
		return OwnMAC
	}
	return Answered
}

// decide tells what holds for a target, whoever asks.
func decide(target netip.Addr, i *Interface, view *rules.View) (rules.Verdict, Reason) {
	if view == nil {
		return rules.Verdict{}, NoRule
	}
	v, ok := view.Lookup(target)
	switch {
	case !ok: // RFC 4861 §7.2.3: silently discard
		return v, NoRule
	case !v.Answer:
		return v, Denied
	case i.Owns(target): // RFC 4861 §7.2.3: the kernel answers
		return v, OwnTarget
	}
	return v, Answered
}

// checkAsker holds the rules for who asks and how.
func (s *solicitation) checkAsker(i *Interface, v rules.Verdict) Reason {
	switch {
	case s.asker == i.mac:
		return OwnMAC
	case i.Owns(s.source): // RFC 4862 §5.4: a duplicate, or a loop
		return OwnSource
	case s.source == s.target: // RFC 4862 §5.4: somebody claims the target
		return Conflict
	case !s.dest.IsMulticast() && s.dest != s.target && !i.Owns(s.dest): // RFC 4861 §7.2.2
		return Destination
	case len(i.uplink.IgnoreSources) > 0 && i.ignores(s):
		return IgnoredSource
	case v.IgnoreDAD && s.source.IsUnspecified():
		return DADIgnored
	case i.uplink.RequireOnLinkSource && !s.source.IsUnspecified() && !i.isOnLink(s.source): // RFC 5942 §4
		return OffLinkSource
	}
	return Answered
}

// Decide tells whether a solicitation for target from an ordinary asker would
// be answered, and which verdict says so. It is Respond without a frame.
func Decide(target netip.Addr, i *Interface, view *rules.View) (rules.Verdict, Reason) {
	if !proxyable(target) {
		return rules.Verdict{}, TargetScope
	}
	v, r := decide(target, i, view)
	if r == Answered && !i.HasSource() {
		r = NoSourceAddress
	}
	return v, r
}
