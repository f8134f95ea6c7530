// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"net"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestSettings changes the settings of an uplink while it answers.
func TestSettings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathTC}, fastpath.Options{Directory: t.TempDir()})
	for _, step := range []struct {
		name     string
		settings rules.Uplink
		hook     string
		why      string
	}{
		{"at the start", rules.Uplink{FastPath: rules.FastPathTC}, "tcx", ""},
		{"a limit that the program cannot count", rules.Uplink{FastPath: rules.FastPathTC, LimitPerAsker: 1000}, "", "limit_per_asker"},
		{"another limit", rules.Uplink{FastPath: rules.FastPathTC, LimitPerAsker: 2000}, "", "limit_per_asker"},
		{"no limit any more", rules.Uplink{FastPath: rules.FastPathTC}, "tcx", ""},
		{"off", rules.Uplink{FastPath: rules.FastPathOff}, "", ""},
		{"another hook", rules.Uplink{FastPath: rules.FastPathXDPGeneric}, "xdp generic", ""},
		{"unicast solicitations are consumed", rules.Uplink{FastPath: rules.FastPathTC, ConsumeUnicast: true}, "tcx", ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.settings.Interface = harness.Uplink
			must(t, r.Node.Do(func() error {
				ifi, err := net.InterfaceByName(harness.Uplink)
				if err != nil {
					return err
				}
				link := conformance.Link(ifi.Index)
				link.MAC = [6]byte(ifi.HardwareAddr)
				r.responder.SetInterface(ndp.NewInterface(link, step.settings))
				return nil
			}))
			r.wantPath(step.hook, step.why)
			r.wantAnswers(step.hook != "")
		})
	}
}
