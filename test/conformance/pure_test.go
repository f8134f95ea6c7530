// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"os"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// index of the uplink in the pure run.
const index = 2

func view(t *testing.T) *rules.View {
	t.Helper()
	table, err := rules.Compile(Rules())
	if err != nil {
		t.Fatal(err)
	}
	return table.View("uplink")
}

func TestRespond(t *testing.T) {
	t.Parallel()
	v, iface := view(t), ndp.NewInterface(Link(index), rules.Uplink{Interface: "uplink"})
	for _, c := range Cases() {
		t.Run(c.ID+" "+c.Name, func(t *testing.T) {
			t.Parallel()
			frame, meta := c.Frame.Received(index)
			var reply ndp.Advertisement
			var s ndp.Solicitation
			res := ndp.Respond(&reply, &s, frame, meta, iface, v)
			if res.Reason != c.Want {
				t.Fatalf("reason is %s, want %s", res.Reason, c.Want)
			}
			if res.Reason != ndp.Answered {
				if reply != (ndp.Advertisement{}) {
					t.Errorf("reply was written: % x", reply)
				}
				return
			}
			a, err := Decode(reply[:])
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Answer.Check(a, c.Frame.Target); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEveryReason keeps the list of reasons closed: each has a case, here or in
// the tests that need time or a socket, and a row in the documentation.
func TestEveryReason(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	// What no single frame can show.
	cases := map[ndp.Reason]bool{}
	for _, c := range Cases() {
		cases[c.Want] = true
	}
	for _, c := range policyCases() {
		cases[c.want] = true
	}
	for _, r := range append(Stateful(), Clustered()...) {
		cases[r] = true
	}
	for _, r := range ndp.Reasons() {
		if !cases[r] {
			t.Errorf("reason %s has no case", r)
		}
		if !strings.Contains(string(doc), "| `"+r.String()+"` |") {
			t.Errorf("reason %s has no row in docs/conformance.md", r)
		}
	}
}
