// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"testing"
	"time"
)

// TestRefusal looks at a device, and at the way again that is refused.
func TestRefusal(t *testing.T) {
	t.Parallel()
	up := deviceState{known: true, up: true, mtu: 1500}
	down, other := up, up
	down.up, other.mac = false, [6]byte{2}
	type look struct {
		at time.Duration
		is deviceState
	}
	for name, c := range map[string]struct {
		losses int // before
		looks  []look
		lifted bool // by the last look, and by none before
	}{
		"nothing changes":               {looks: []look{{time.Minute, up}, {9 * time.Minute, up}}},
		"nothing changes for long":      {looks: []look{{time.Minute, up}, {10 * time.Minute, up}}, lifted: true},
		"nothing can be seen":           {looks: []look{{time.Minute, deviceState{}}, {9 * time.Minute, deviceState{}}}},
		"nothing was seen for long":     {looks: []look{{10 * time.Minute, deviceState{}}}, lifted: true},
		"it flaps as the program goes":  {looks: []look{{0, up}, {2 * time.Second, down}, {4 * time.Second, up}, {5 * time.Minute, up}}},
		"another address":               {looks: []look{{time.Minute, up}, {2 * time.Minute, other}}, lifted: true},
		"down and up":                   {looks: []look{{time.Minute, up}, {2 * time.Minute, down}, {3 * time.Minute, up}}, lifted: true},
		"down":                          {looks: []look{{time.Minute, up}, {2 * time.Minute, down}, {9 * time.Minute, down}}},
		"lost twice, nothing changes":   {losses: 1, looks: []look{{time.Minute, up}, {19 * time.Minute, up}, {20 * time.Minute, up}}, lifted: true},
		"lost twice, and changed early": {losses: 1, looks: []look{{time.Minute, up}, {90 * time.Second, other}, {2 * time.Minute, up}}, lifted: true},
		"lost for days":                 {losses: 20, looks: []look{{time.Minute, up}, {3 * time.Hour, up}, {4 * time.Hour, up}}, lifted: true},
		"lost for days, it flaps":       {losses: 20, looks: []look{{time.Minute, up}, {2 * time.Minute, down}, {3 * time.Minute, up}, {20 * time.Minute, up}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, now := newRefusal(), time.Unix(0, 0)
			for range c.losses {
				f.refuse(errLost, now)
				now = f.until
			}
			f.refuse(errLost, now)
			for i, l := range c.looks {
				if f.look(now.Add(l.at), l.is); (f.why == nil) != (c.lifted && i == len(c.looks)-1) {
					t.Errorf("look %d: refused because of %v", i, f.why)
				}
			}
		})
	}
	f := newRefusal()
	for range 5 {
		f.refuse(errLost, time.Unix(0, 0))
	}
	if f.refuse(errors.New("again"), time.Unix(0, 0).Add(2*lastRefusal)); f.until != time.Unix(0, 0).Add(2*lastRefusal+firstRefusal) {
		t.Errorf("long after, it is refused until %s", f.until)
	}
}
