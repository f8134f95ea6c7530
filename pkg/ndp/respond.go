// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Result is what Respond made of one frame.
type Result struct {
	// Reason is Answered when there is an advertisement, Probing when its
	// target has to be asked first, and else why there is none.
	Reason Reason
	// Kind classifies the solicitation, also an invalid one.
	Kind Kind
	// Redirected is true when the answer goes to the link-layer address that
	// the solicitation names and not to the Ethernet source.
	Redirected bool
	// Delay is the upper bound of the random delay before the answer leaves,
	// 0 for at once.
	Delay time.Duration
	// Hold is how long the answer has to wait at least. Then it is decided anew
	// whether there is one.
	Hold time.Duration

	verdict *rules.Verdict // nil without a rule
}

// bridgeHold is how long duplicate address detection on a bridge is held, until the
// kernel has told behind which port its sender is. That takes much less, and the
// sender waits for a second (RFC 4862 §5.4).
const bridgeHold = 100 * time.Millisecond

// Respond answers one received frame: it writes the whole answer to reply when
// the result's reason is [Answered], and leaves reply alone otherwise. s takes
// what was read from the frame; it is for the caller to lend, so that nothing is
// allocated, and only its last use counts. view is nil before the first table is
// published.
//
// No octet of the reply comes from anywhere but the interface, the
// solicitation's target, and the asker's addresses.
func Respond(reply *Advertisement, s *Solicitation, frame []byte, meta Meta, i *Interface, view *rules.View) Result {
	res := Result{Kind: kindOf(frame)}
	if res.Reason = checkLink(frame, meta, i); res.Reason != Answered {
		return res
	}
	if res.Reason = s.parse(frame, meta.ChecksumPartial); res.Reason != Answered {
		return res
	}
	res.Redirected = s.asker != s.ether
	res.verdict, res.Reason = s.answer(reply, i, view)
	if res.verdict != nil && s.dest.IsMulticast() { // RFC 4861 §7.2.8: only these need spreading
		res.Delay = res.verdict.Delay
	}
	if i.facts.Bridge && s.source.IsUnspecified() {
		res.Hold = bridgeHold
	}
	return res
}

// answer writes the advertisement for a valid solicitation, if it gets one.
func (s *Solicitation) answer(reply *Advertisement, i *Interface, view *rules.View) (*rules.Verdict, Reason) {
	verdict, reason := decide(s.target, i, view)
	if reason != Answered && reason != Probing {
		return verdict, reason
	}
	// What the host itself has is defended before anybody is asked: a station that still
	// looks for duplicates does not have it (RFC 4862 §5.4).
	defended := verdict.Host && s.source.IsUnspecified()
	if r := s.checkAsker(i, verdict); r != Answered || reason == Probing && !defended {
		return verdict, worse(r, reason)
	}
	source := i.Source(s.source, s.target)
	if verdict == &i.presence {
		source = i.presenceSource(s.source)
	}
	if !source.IsValid() { // RFC 4861 §4.4: never from the unspecified address
		return verdict, NoSourceAddress
	}
	reply.fill(i, s, source)
	return verdict, Answered
}

// worse returns r unless that is Answered.
func worse(r, other Reason) Reason {
	if r != Answered {
		return r
	}
	return other
}

// checkLink holds the rules of the link layer, before a header is looked at.
func checkLink(frame []byte, meta Meta, i *Interface) Reason {
	if meta.Type > PacketMulticast {
		return NotForUs
	}
	if meta.Index != i.facts.Index {
		return OtherInterface
	}
	if meta.VLAN != 0 {
		return VLAN
	}
	// Our own solicitation came back (RFC 4862 §5.4.3), or our own side asks.
	if len(frame) >= offEtherType && macAt(frame, offEtherSrc) == i.facts.MAC {
		return OwnMAC
	}
	return Answered
}

// decide tells what holds for a target, whoever asks.
func decide(target netip.Addr, i *Interface, view *rules.View) (*rules.Verdict, Reason) {
	if target == i.facts.Uplink.Presence || target.IsLinkLocalUnicast() && slices.Contains(i.facts.Uplink.Witnessed, target) {
		return &i.presence, Answered
	}
	if view == nil {
		return nil, NoRule
	}
	v := view.Find(target)
	switch {
	case target.IsLinkLocalUnicast(): // another daemon's presence, which ::/0 covers
		return nil, TargetScope
	case v == nil: // RFC 4861 §7.2.3: silently discard
		return v, NoRule
	case v.Silence == rules.Denied:
		return v, Silent(rules.Denied)
	case i.Owns(target): // RFC 4861 §7.2.3: the kernel answers
		return v, OwnTarget
	case v.Answer:
		return v, Answered
	case v.Probe:
		return v, Probing
	}
	return v, Silent(v.Silence)
}

// checkAsker holds the rules for who asks and how.
func (s *Solicitation) checkAsker(i *Interface, v *rules.Verdict) Reason {
	switch {
	case s.asker == i.facts.MAC:
		return OwnMAC
	case i.Owns(s.source): // RFC 4862 §5.4: a duplicate, or a loop
		return OwnSource
	case s.source == s.target: // RFC 4862 §5.4: somebody claims the target
		return Conflict
	case !s.dest.IsMulticast() && s.dest != s.target && !i.Owns(s.dest): // RFC 4861 §7.2.2
		return Destination
	case v == &i.presence: // the settings below are about those who ask for addresses
		return Answered
	case len(i.facts.Uplink.IgnoreSources) > 0 && i.ignores(s):
		return IgnoredSource
	case s.source.IsUnspecified() && i.isLocal(s.ether):
		return LocalStation
	// What the host itself takes because nobody had it is asked for anew.
	case v.IgnoreDAD && s.source.IsUnspecified() && v.Host && v.Learned:
		return Probing
	// A target that may live behind us is asked first: it is defended if it does.
	case v.IgnoreDAD && s.source.IsUnspecified() && (!v.Probe || v.Host):
		return DADIgnored
	case i.facts.Uplink.RequireOnLinkSource && !s.source.IsUnspecified() && !i.isOnLink(s.source): // RFC 5942 §4
		return OffLinkSource
	}
	return Answered
}

// Decide tells whether a solicitation for target from an ordinary asker would
// be answered, and which verdict says so; nil where no rule does. It is [Respond]
// without a frame.
func Decide(target netip.Addr, i *Interface, view *rules.View) (*rules.Verdict, Reason) {
	if !proxyable(target) {
		return nil, TargetScope
	}
	v, r := decide(target, i, view)
	if (r == Answered || r == Probing) && !i.HasSource() {
		r = NoSourceAddress
	}
	return v, r
}
