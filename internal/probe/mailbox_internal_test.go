// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"testing"
)

func TestMailboxMerges(t *testing.T) {
	t.Parallel()
	prefixes := func(n int) (ps []netip.Prefix) {
		for i := range n {
			ps = append(ps, netip.PrefixFrom(target(i), 128))
		}
		return ps
	}
	tests := []struct {
		name                                  string
		put                                   func(*events)
		prefixes, devices, answers, unreached int
		allRoutes, anyDevice, overflowed      bool
	}{
		{name: "nothing", put: func(*events) {}},
		{name: "routes", put: func(e *events) { e.routes(prefixes(3), false); e.routes(prefixes(5), false) }, prefixes: 5},
		{name: "all routes before others", put: func(e *events) { e.routes(nil, true); e.routes(prefixes(5), false) }, allRoutes: true},
		{name: "all routes after others", put: func(e *events) { e.routes(prefixes(5), false); e.routes(nil, true) }, allRoutes: true},
		{name: "many routes at once", put: func(e *events) { e.routes(prefixes(maxPrefixes+1), false) }, allRoutes: true},
		{name: "many routes one by one", put: func(e *events) {
			for _, p := range prefixes(maxPrefixes + 1) {
				e.routes([]netip.Prefix{p}, false)
			}
		}, allRoutes: true},
		{name: "devices", put: func(e *events) { e.device(1); e.device(2); e.device(1) }, devices: 2},
		{name: "any device", put: func(e *events) { e.device(1); e.device(0); e.device(2) }, anyDevice: true},
		{name: "many devices", put: func(e *events) {
			for i := range maxDevices + 1 {
				e.device(int32(i + 1))
			}
		}, anyDevice: true},
		{name: "answers", put: func(e *events) {
			for range 9 {
				e.answered(answer{target: target(1), device: 1})
				e.answered(answer{target: target(1), device: 2})
				e.notReached(target(2))
			}
		}, answers: 2, unreached: 1},
		{name: "many answers", put: func(e *events) {
			for i := range maxAnswers + 1 {
				e.answered(answer{target: target(i), device: 1})
				e.notReached(target(i))
			}
		}, answers: maxAnswers, unreached: maxAnswers, overflowed: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMailbox()
			m.put(tt.put)
			<-m.wake
			e := m.take()
			if len(e.prefixes) != tt.prefixes || len(e.devices) != tt.devices || len(e.answers) != tt.answers || len(e.unreached) != tt.unreached {
				t.Errorf("%d prefixes, %d devices, %d answers, %d unreached", len(e.prefixes), len(e.devices), len(e.answers), len(e.unreached))
			}
			if e.allRoutes != tt.allRoutes || e.anyDevice != tt.anyDevice || e.overflowed != tt.overflowed {
				t.Errorf("all routes %t, any device %t, overflowed %t", e.allRoutes, e.anyDevice, e.overflowed)
			}
			if e := m.take(); e.allRoutes || e.anyDevice || len(e.prefixes)+len(e.devices)+len(e.answers) > 0 {
				t.Error("taken twice")
			}
		})
	}
}
