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
	// Probe is true when the target has to be asked first, on Device, or on
	// the devices that the rule names. It goes without Answer.
	Probe bool
	// Learned is true for a target that was asked and has answered.
	Learned bool
	// Part is true for a line that is there only because of what its target, or
	// a route inside of a rule with devices, says: solicitations for it are heard
	// as part of the wider line.
	Part bool
	// IgnoreDAD is [Rule.IgnoreDAD] of the deciding rule.
	IgnoreDAD bool
	// Silence is why there is no answer; NotSilent with Answer or Probe.
	Silence Silence
	// Rule is the index of the deciding rule in [Table.Rules].
	Rule int32
	// Device is the index of the device behind which the target is, 0 where
	// no entry had to tell.
	Device int32
	// Delay is [Rule.Delay] of the deciding rule.
	Delay time.Duration
}

// Hears reports whether solicitations for the prefix have to reach us.
func (v Verdict) Hears() bool { return v.Answer || v.Probe }

// Announced reports whether an address with this verdict is ours to announce:
// the evidence is exact, and does not come from somebody having asked.
func (v Verdict) Announced() bool { return v.Answer && !v.Learned }

// sameEffect ignores the rule's index, which moves when a file is edited.
func (v Verdict) sameEffect(o Verdict) bool {
	v.Rule, o.Rule = 0, 0
	return v == o
}

// Decision is a Verdict with the prefix that it stands for.
type Decision struct {
	Prefix  netip.Prefix
	Verdict Verdict
}

// Delta is what a publication changes for one prefix. A verdict that is not
// there is the zero Verdict, which is no answer.
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
