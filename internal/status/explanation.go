// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Explanation tells what becomes of a solicitation for an address.
type Explanation struct {
	Target netip.Addr `json:"target"`
	// NoUplink says why there is no uplink, "" where there is one, and Entry what the
	// kernel's routes say then.
	NoUplink string              `json:"no_uplink,omitempty"`
	Entry    *Entry              `json:"entry,omitempty"`
	Answers  []UplinkExplanation `json:"uplinks"`
}

// UplinkExplanation is the explanation for one uplink.
type UplinkExplanation struct {
	Interface string `json:"interface"`
	Answered  bool   `json:"answered"`
	// Reason is one of the reasons of docs/conformance.md, "probing" for a
	// target that would be asked first, or the state of an uplink that is not
	// ready.
	Reason string `json:"reason"`
	// Why is the reason in words.
	Why string `json:"why"`
	// Rule is the most specific rule for the target, if there is one.
	Rule *Rule `json:"rule,omitempty"`
	// Remedy is the rule that would answer, where no rule covers a target that is
	// behind this host.
	Remedy string `json:"remedy,omitempty"`
	// Waits are the rules that may cover the target once they hold, and what each
	// waits for.
	Waits []string `json:"waits,omitempty"`
	// Entry is what is known of the target, where the rule asks for that.
	Entry *Entry `json:"entry,omitempty"`
	// Cluster is what Kubernetes says of the target, where the rule asks for that.
	Cluster *ClusterEntry `json:"cluster,omitempty"`
	// Conflict is the station that has the address.
	Conflict *Conflict `json:"conflict,omitempty"`
	// Announcement is the series of unsolicited advertisements that is under
	// way or was sent in the last seconds.
	Announcement *Announcement `json:"announcement,omitempty"`
	// Answerer is who answers, nil where nobody does.
	Answerer *Answerer `json:"answered_by,omitempty"`
	// Before says who answers before this daemon hears of a solicitation, so that its
	// own answer does not leave, or leaves as well; "" for nobody.
	Before string `json:"answered_before,omitempty"`
	// DAD tells why duplicate address detection is left unanswered although
	// other solicitations are not; "" where it is answered like them.
	DAD string `json:"dad,omitempty"`
	// Advertisement is what would be sent to an asker of the same subnet.
	Advertisement *Advertisement `json:"advertisement,omitempty"`
	// Last are the last solicitations for the target.
	Last []Solicitation `json:"last,omitempty"`
}

// Rule is a rule with its place in the configuration.
type Rule struct {
	Index  int    `json:"index"`
	Prefix string `json:"prefix"`
	Method string `json:"method"`
	// Template is what the configuration has in place of the prefix, "" where it has
	// the prefix.
	Template string `json:"template,omitempty"`
	// Discovered is true for a rule that nobody wrote. Its index is that of the rules in
	// force.
	Discovered bool `json:"discovered,omitempty"`
	// Kinds are the service addresses that the rule answers for, "" for none.
	Kinds string `json:"kinds,omitempty"`
	// Deprecated is [RulePrefix.Deprecated].
	Deprecated bool `json:"deprecated,omitempty"`
}

// String shows the rule in one line.
func (r *Rule) String() string {
	s := fmt.Sprintf("rules[%d]: %s %s", r.Index, r.Prefix, r.Method)
	if r.Discovered {
		s = fmt.Sprintf("discovered: %s %s", r.Prefix, r.Method)
	}
	if r.Kinds != "" && r.Method != rules.Services.String() {
		s += ", and " + rules.Services.String()
	}
	if r.Kinds != "" {
		s += " (" + r.Kinds + ")"
	}
	if r.Template != "" {
		s += ", from " + r.Template
	}
	if r.Deprecated {
		s += deprecatedText
	}
	return s
}

// Entry is the entry that decides, with where it comes from.
type Entry struct {
	Source string     `json:"source"`
	Prefix string     `json:"prefix,omitempty"`
	Device string     `json:"device,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	behind.Explanation
}

// Advertisement describes an advertisement.
type Advertisement struct {
	MAC      string `json:"mac"`
	Router   bool   `json:"router"`
	Override bool   `json:"override"`
	Delay    string `json:"delay,omitempty"`
}

// Announcement is a series of unsolicited advertisements.
type Announcement struct {
	Begun time.Time `json:"begun"`
	Left  int       `json:"left"`
}

// Solicitation is one solicitation that was received.
type Solicitation struct {
	At        time.Time  `json:"at"`
	Interface string     `json:"interface"`
	Target    netip.Addr `json:"target"`
	Source    netip.Addr `json:"source"`
	MAC       string     `json:"mac"`
	Kind      string     `json:"kind"`
	Reason    string     `json:"reason"`
}
