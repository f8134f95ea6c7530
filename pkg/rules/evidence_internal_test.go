// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"testing"
)

// TestTables wants the rows of evidence.go to be complete, and to agree.
func TestTables(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, m := range Methods() {
		row := methods()[m]
		if row.name == "" || row.decide == nil || row.covers == "" {
			t.Errorf("method %d is not complete: %+v", m, row)
		}
		if m != Deny && row.yes == "" {
			t.Errorf("%s does not say why it answers", m)
		}
		if m != Static && row.silence == NotSilent {
			t.Errorf("%s does not say why it is silent", m)
		}
		if names[row.name] {
			t.Errorf("two methods are called %s", row.name)
		}
		names[row.name] = true
	}
	for _, s := range Sources() {
		row := sources()[s]
		alone, used := true, false
		for _, m := range Methods() {
			if m.Asks(s) {
				used = true
				alone = alone && len(m.Sources()) == 1
			}
		}
		if row.name == "" || !used {
			t.Errorf("source %d has no name, or no method asks for it", s)
		}
		if row.alone && !alone {
			t.Errorf("a method asks for %s together with others, and the table says that none does", s)
		}
	}
	var reasons []string
	for s, row := range silences() {
		if row.name == "" || row.text == "" || slices.Contains(reasons, row.name) {
			t.Errorf("the reason %d has no name or text of its own", s)
		}
		reasons = append(reasons, row.name)
	}
}

func TestNamesOutsideOfTheTables(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Method(0).String():       "Method(0)",
		Method(200).String():     "Method(200)",
		Source(200).String():     "Source(200)",
		Silence(200).String():    "Silence(200)",
		Silence(200).Text():      "Silence(200)",
		Method(200).Covers():     "",
		Silence(NotOwner).Text(): "another node answers for the service address",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if Method(0).Sources() != nil || Method(0).Clustered() {
		t.Error("the zero method has sources or needs")
	}
}

// TestAnswerText wants the words of explain to follow from the table.
func TestAnswerText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		method  Method
		verdict Verdict
		want    string
	}{
		{"route", Route, Verdict{Answer: true}, "the kernel routes the address to a device behind this node"},
		{"own address", Route, Verdict{Answer: true, Host: true}, "this host itself has the address, and the kernel does not answer for it on the uplink"},
		{"static", Static, Verdict{Answer: true}, "the rule answers for every address of its prefix"},
		{"living target", Probe, Verdict{Answer: true, Learned: true}, "the address has answered a solicitation of ours"},
		{"asked first", Probe, Verdict{Probe: true}, "the address is asked for behind this node first, and answered for when it answers"},
		{"not asked", Probe, Verdict{Answer: true}, "the kernel routes the address to a device behind this node, where it cannot be asked for"},
		{"claimed", Services, Verdict{Silence: Claimed}, "another station on the uplink has the address, and answers for it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.method.AnswerText(tt.verdict); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
