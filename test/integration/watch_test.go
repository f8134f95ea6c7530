// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestExplainEvidence reads where a decision comes from.
func TestExplainEvidence(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "pods")
	harness.Must(t, n.Node.Link.RuleAdd(marked()))
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", routeRule)
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	a := newAsker(t, n)
	a.WantAnswer(conformance.Pod)
	if a.Ask(addr("2001:db8:1:0:f::6"), harness.Quiet) != nil {
		t.Error("an address without a route is answered for")
	}
	for target, wants := range map[string][]string{
		"2001:db8:1:0:f::5": {
			"is answered: the kernel routes the address to a device behind this node (answered)",
			"rules[0]: 2001:db8:1:0:f::/80 route", "kernel: 2001:db8:1:0:f::5/128 dev pods (table 254), since 20",
			"not followed   policy rule 10: fwmark 0x200 lookup 100", "announced      since 20",
			"by 2001:db8:1::ff (02:00:00:00:00:01), multicast: answered", "is at 02:00:00:00:00:02, router yes",
		},
		"2001:db8:1:0:f::6": {
			"is not answered: the route leads through an uplink (no_route)", "kernel: 2001:db8:1::/64 dev uplink (table 254)", "multicast: no_route",
		},
	} {
		for _, want := range wants {
			harness.Eventually(t, "line in what explain says of "+target+": "+want, func() bool {
				var out bytes.Buffer
				if code := command(t, n, &out, 0, "explain", target); code != 0 {
					t.Errorf("explain ends with %d", code)
				}
				return strings.Contains(out.String(), want)
			})
		}
	}
	d.Signal(syscall.SIGTERM)
}

// TestWatch looks at solicitations as they come, by a filter.
func TestWatch(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	a := newAsker(t, n)
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	enough := errors.New("enough")
	var seen []string
	done := make(chan error, 1)
	go func() {
		filter := status.WatchFilter{Prefix: netip.MustParsePrefix("2001:db8:1:0:f::/112"), Reason: "answered", Interface: harness.Uplink}
		done <- d.Client.Watch(ctx, filter, func(e status.WatchEvent) error {
			var b strings.Builder
			harness.Must(t, e.WriteText(&b))
			seen = append(seen, b.String())
			return enough
		})
	}()
	wrong := conformance.Solicitation(conformance.Pod)
	wrong.Corrupt = true
	for ctx.Err() == nil {
		a.Port.Send(wrong.Bytes())
		a.Port.Send(conformance.Solicitation(addr("2001:db8:1:0:f:1::5")).Bytes())
		a.Port.Send(conformance.Solicitation(conformance.Pod).Bytes())
		select {
		case err := <-done:
			if !errors.Is(err, enough) {
				t.Fatal(err)
			}
			if len(seen) != 1 || !strings.Contains(seen[0], "uplink multicast 2001:db8:1::ff (02:00:00:00:00:01) asks for 2001:db8:1:0:f::5: answered") {
				t.Errorf("saw %q", seen)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Error("nothing was seen")
}
