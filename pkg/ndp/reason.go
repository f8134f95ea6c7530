// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"fmt"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Reason is what became of one solicitation. The list is closed: each value is
// a metric label, a word in logs and in explain, and a row of
// docs/conformance.md. Those of a rule's silence are the ones of [rules.Silence].
type Reason uint8

// The reasons, in the order in which [Respond] looks for them.
const (
	// Answered means that an advertisement was made.
	Answered Reason = iota
	// NotForUs: the frame was addressed to another station or sent by this one.
	NotForUs
	// OtherInterface: the frame came in on another interface than the socket's.
	OtherInterface
	// VLAN: the frame carries the tag of a VLAN that is not the interface's.
	VLAN
	// OwnMAC: the frame, or the station it speaks for, has our own MAC address.
	OwnMAC
	// NotIPv6: the frame is not IPv6, or too short to be.
	NotIPv6
	// PayloadLength: the IPv6 payload is longer than the frame, or zero.
	PayloadLength
	// Fragment: the packet has a Fragment header.
	Fragment
	// ExtensionHeader: another header stands before the ICMPv6 header.
	ExtensionHeader
	// NotSolicitation: the packet is not an ICMPv6 Neighbor Solicitation.
	NotSolicitation
	// HopLimit is not 255.
	HopLimit
	// Code of the ICMPv6 header is not 0.
	Code
	// MessageLength of the solicitation is less than 24 octets.
	MessageLength
	// Checksum of the solicitation is wrong.
	Checksum
	// OptionLength of an option is zero, or the options do not end where the
	// message ends.
	OptionLength
	// TargetScope: the target can never be proxied.
	TargetScope
	// SourceScope: the source can be no station's address.
	SourceScope
	// DADLinkAddress: duplicate address detection with a link-layer address.
	DADLinkAddress
	// Destination is not one that a solicitation for the target goes to.
	Destination
	// LinkAddress of the asker is unusable.
	LinkAddress
	// NoRule covers the target.
	NoRule

	// The reasons of a rule's silence follow here, see [Silent].
)

// The reasons that Respond looks for after the rules.
const (
	// OwnTarget: the target is assigned to the interface; the kernel answers.
	OwnTarget Reason = iota + NoRule + Reason(rules.SilenceCount)
	// OwnSource: the solicitation claims to come from an address of ours.
	OwnSource
	// Conflict: the asker uses the target as its own address.
	Conflict
	// OffLinkSource: the source is off-link and the uplink asks for on-link.
	OffLinkSource
	// IgnoredSource: the uplink's settings leave this asker unanswered.
	IgnoredSource
	// LocalStation: the asker is attached to the uplink on our own side, and
	// keeps its address.
	LocalStation
	// DADIgnored: the rule leaves duplicate address detection alone.
	DADIgnored
	// NoSourceAddress: the interface has no address to answer from.
	NoSourceAddress
	// NoNeighbor: the target was asked and did not answer.
	NoNeighbor
	// ProbeLimited: too many targets are being asked already.
	ProbeLimited
	// RateLimited: too many answers would go to one asker.
	RateLimited
	// Displaced: too many answers had to be held already. Answers that are merely
	// delayed are not lost, they leave early.
	Displaced
	// Withdrawn: the rule went away while the answer was delayed.
	Withdrawn
	// SendFailed: the kernel did not take the advertisement.
	SendFailed

	reasonCount

	// Probing stands for a solicitation that waits for its target's answer. It
	// is none of the reasons: each solicitation gets one in the end.
	Probing
)

// String returns the reason's name in metrics, logs and documentation.
func (r Reason) String() string {
	if s, ok := r.silence(); ok {
		return s.String()
	}
	switch r {
	case Answered:
		return "answered"
	case NotForUs:
		return "not_for_us"
	case OtherInterface:
		return "other_interface"
	case VLAN:
		return "vlan"
	case OwnMAC:
		return "own_mac"
	case NotIPv6:
		return "not_ipv6"
	case PayloadLength:
		return "payload_length"
	case Fragment:
		return "fragment"
	case ExtensionHeader:
		return "extension_header"
	case NotSolicitation:
		return "not_solicitation"
	case HopLimit:
		return "hop_limit"
	case Code:
		return "code"
	case MessageLength:
		return "message_length"
	case Checksum:
		return "checksum"
	case OptionLength:
		return "option_length"
	case TargetScope:
		return "target_scope"
	case SourceScope:
		return "source_scope"
	case DADLinkAddress:
		return "dad_lladdr"
	case Destination:
		return "destination"
	case LinkAddress:
		return "bad_lladdr"
	case NoRule:
		return "no_rule"
	case OwnTarget:
		return "own_target"
	case OwnSource:
		return "own_source"
	case Conflict:
		return "conflict"
	case OffLinkSource:
		return "off_link_source"
	case IgnoredSource:
		return "ignored_source"
	case LocalStation:
		return "local_station"
	case DADIgnored:
		return "dad_ignored"
	case NoSourceAddress:
		return "no_source_address"
	case NoNeighbor:
		return "no_neighbor"
	case ProbeLimited:
		return "probe_limited"
	case RateLimited:
		return "rate_limited"
	case Displaced:
		return "displaced"
	case Withdrawn:
		return "withdrawn"
	case SendFailed:
		return "send_failed"
	case Probing:
		return "probing"
	case reasonCount:
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// Silent returns the reason that stands for a rule's silence. Its name and text
// are those of the silence.
func Silent(s rules.Silence) Reason { return NoRule + Reason(s) }

// silence returns the silence that a reason stands for.
func (r Reason) silence() (rules.Silence, bool) {
	if r <= NoRule || r >= OwnTarget {
		return rules.NotSilent, false
	}
	return rules.Silence(r - NoRule), true
}

// Text says in words why an ordinary solicitation for a target is not answered.
// Reasons that depend on the frame, and Answered, have their name only: why an
// address is answered for is [rules.Method.AnswerText].
func (r Reason) Text() string {
	if s, ok := r.silence(); ok {
		return s.Text()
	}
	switch r {
	case NoRule:
		return "no rule covers the address: add one to the configuration"
	case Probing:
		return rules.Probe.AnswerText(rules.Verdict{Probe: true})
	case OwnTarget:
		return "the address is assigned to the uplink itself: the kernel answers for it"
	case TargetScope:
		return "an address of this kind is never answered for: multicast, unspecified, loopback, IPv4-mapped and link-local ones"
	case NoSourceAddress:
		return "the uplink has no usable address to answer from"
	default:
		return r.String()
	}
}

// valid reports whether the solicitation was valid, whatever became of it.
func (r Reason) valid() bool { return r == Answered || r >= NoRule }

// Reasons lists every reason, Answered first.
func Reasons() []Reason {
	rs := make([]Reason, reasonCount)
	for i := range rs {
		rs[i] = Reason(i)
	}
	return rs
}

// Kind tells how a solicitation asks.
type Kind uint8

// The kinds of solicitation.
const (
	// Multicast resolves an address (RFC 4861 §7.2.2).
	Multicast Kind = iota
	// Unicast probes a neighbor that is already known (RFC 4861 §7.3.1).
	Unicast
	// DAD asks whether an address is free (RFC 4862 §5.4).
	DAD
	// Presence asks whether another node's daemon is alive, see [rules.Presence].
	// Daemons ask each other every second, so these are counted apart: they are in
	// no histogram and no record.
	Presence

	kindCount
)

// String returns the kind's name in metrics.
func (k Kind) String() string {
	switch k {
	case Multicast:
		return "multicast"
	case Unicast:
		return "unicast"
	case DAD:
		return "dad"
	case Presence:
		return "presence"
	case kindCount:
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Kinds lists every kind.
func Kinds() []Kind { return []Kind{Multicast, Unicast, DAD, Presence} }
