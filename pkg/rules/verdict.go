// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"time"
)

// Verdict is the standing decision for the addresses of one prefix.
type Verdict struct {
	// Answer is true when a solicitation is answered.
	Answer bool
	// Probe is true when the target has to be solicited first, on Device or on
	// the devices that the rule names. Answer is false then.
	Probe bool
	// Contested is true for a target that another station of an uplink's link may
	// have, see [Table.Links]. With Probe these links are asked, too, and whoever
	// answers there keeps the target.
	Contested bool
	// Host is true where the host itself takes the packets, see [Entry.Host]. A
	// Contested one is answered for when nobody on the links has answered.
	Host bool
	// Learned is true for a target that has answered a solicitation of ours, or that
	// Host is true for and nobody on the links has.
	Learned bool
	// Leaving is true for an address that is answered until another node, which
	// has it from now on, announces it.
	Leaving bool
	// Service is true for an answered service address: other nodes take it over when this
	// one is silent.
	Service bool
	// Unconfirmed is true for an address that an earlier process has learned, see
	// [Entry.Unconfirmed].
	Unconfirmed bool
	// Part is true for a line that exists only because its target was solicited,
	// or because of a route inside a rule that answers or asks without one. It needs
	// no multicast groups of its own: the line around it has them.
	Part bool
	// IgnoreDAD leaves duplicate address detection unanswered (see [DADPolicy]), so
	// that another station can take the address as its own.
	IgnoreDAD bool
	// Silence is why there is no answer; NotSilent with Answer or Probe.
	Silence Silence
	// Rule is the index of the deciding rule in [Table.Rules].
	Rule int32
	// Device is the index of the device behind which the target is, 0 if the
	// method does not ask for it.
	Device int32
	// Delay is [Rule.Delay] of the deciding rule.
	Delay time.Duration
}

// Hears reports whether solicitations for the prefix have to be received.
func (v Verdict) Hears() bool { return v.Answer || v.Probe }

// Announced reports whether an unsolicited advertisement may announce an address
// with this verdict. A learned target is not announced: it is there because
// somebody has asked for it. One that is leaving is announced by its next owner, one
// that is not confirmed may be another node's by now, and what is but a part of a static
// rule is answered for without ever appearing.
func (v Verdict) Announced() bool {
	return v.Answer && !v.Learned && !v.Leaving && !v.Unconfirmed && !v.Part
}

// sameEffect compares all but the rule's index, which shifts when rules are added
// before it.
func (v Verdict) sameEffect(o Verdict) bool {
	v.Rule, o.Rule = 0, 0
	return v == o
}

// Decision is a Verdict with the prefix that it stands for.
type Decision struct {
	Prefix  netip.Prefix
	Verdict Verdict
}

// Delta is the change of one prefix's verdict. The zero Verdict, which is no answer,
// stands for a line that does not exist.
type Delta struct {
	Prefix        netip.Prefix
	Before, After Verdict
}

// Diff returns what changes from before to after, in no particular order. A nil
// view is an empty one.
func Diff(before, after *View) []Delta {
	if before == after {
		return nil
	}
	var ds []Delta
	for p, v := range before.Decisions() {
		if n, _ := after.get(p); !n.sameEffect(v) {
			ds = append(ds, Delta{Prefix: p, Before: v, After: n})
		}
	}
	for p, v := range after.Decisions() {
		if _, known := before.get(p); !known && !v.sameEffect(Verdict{}) {
			ds = append(ds, Delta{Prefix: p, After: v})
		}
	}
	return ds
}
