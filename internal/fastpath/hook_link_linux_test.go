// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// TestEndLink ends links whose device is gone, and which another has detached, without an error.
func TestEndLink(t *testing.T) {
	t.Parallel()
	for _, way := range []ndp.Way{ndp.WayTC, ndp.WayXDPGeneric} {
		for name, before := range map[string]func(s *stage, l *linked){
			"attached":           func(*stage, *linked) {},
			"detached":           func(_ *stage, l *linked) { check(t, l.link.Detach()) },
			"the device is gone": func(s *stage, _ *linked) { check(t, s.node.Delete(onDevice)) },
		} {
			t.Run(way.String()+", "+name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				p, err := Load(false)
				check(t, err)
				defer func() { _ = p.Close() }()
				var l *linked
				check(t, s.node.Do(func() error {
					d, err := openDevice(indexOf(onDevice))
					if err != nil {
						return err
					}
					defer d.close()
					if way == ndp.WayTC {
						h, err := attachTCX(d.index, p.of(way))
						check(t, err)
						l = &h.(*tcx).linked
						return nil
					}
					h, err := attachXDP(d, p.of(way), way)
					check(t, err)
					l = &h.(*xdp).linked
					return nil
				}))
				before(s, l)
				check(t, endLink(l.link))
			})
		}
	}
}
