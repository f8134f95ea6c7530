// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"testing"
	"time"
)

// TestProof judges what a device has sent by what the program has answered.
func TestProof(t *testing.T) {
	t.Parallel()
	type look struct {
		at             time.Duration
		answered       uint64
		before, frames uint64 // what the device has sent before and after that was read
		xdp            uint64 // by a counter of its own
		failed         uint64
	}
	for name, c := range map[string]struct {
		late    bool
		looks   []look
		lost    bool
		pending bool
	}{
		"answers leave":                     {looks: []look{{0, 5, 5, 5, 0, 0}, {9 * time.Second, 9, 9, 9, 0, 0}}},
		"much else leaves":                  {looks: []look{{0, 5, 500, 500, 0, 0}}},
		"answered while it is read":         {looks: []look{{0, 5, 4, 6, 0, 0}, {9 * time.Second, 6, 6, 6, 0, 0}}},
		"a counter of its own":              {looks: []look{{0, 5, 0, 0, 5, 0}, {9 * time.Second, 9, 0, 0, 9, 0}}},
		"nothing leaves":                    {looks: []look{{0, 5, 0, 0, 0, 0}, {time.Second, 5, 0, 0, 0, 0}}, lost: true},
		"nothing leaves, too early to tell": {looks: []look{{0, 5, 0, 0, 0, 0}, {time.Second / 2, 5, 0, 0, 0, 0}}, pending: true},
		"too few to tell":                   {looks: []look{{0, 2, 0, 0, 0, 0}, {9 * time.Second, 2, 0, 0, 0, 0}}, pending: true},
		"too few for long":                  {looks: []look{{0, 2, 0, 0, 0, 0}, {time.Minute, 2, 0, 0, 0, 0}}},
		"the driver says that it failed":    {looks: []look{{0, 5, 0, 0, 0, 5}}, lost: true},
		"others' frames fail":               {looks: []look{{0, 5, 5, 5, 0, 100}}},
		"a card that counts late":           {late: true, looks: []look{{0, 5, 0, 0, 0, 0}, {2 * time.Second, 9, 9, 9, 0, 0}}},
		"a card that loses":                 {late: true, looks: []look{{0, 5, 0, 0, 0, 0}, {2 * time.Second, 9, 0, 0, 0, 0}, {5 * time.Second, 9, 0, 0, 0, 0}}, lost: true},
		"most leave":                        {looks: []look{{0, 100, 90, 90, 0, 0}, {9 * time.Second, 100, 90, 90, 0, 0}}, pending: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := proof{sent: sent{frames: []uint64{0, 0}}}
			began := time.Now()
			var err error
			for _, l := range c.looks {
				if err != nil {
					t.Fatalf("it ends early: %v", err)
				}
				err = p.judge(l.answered, sent{frames: []uint64{l.before, l.xdp}}, sent{frames: []uint64{l.frames, l.xdp}, failed: l.failed, late: c.late}, began.Add(l.at))
			}
			if errors.Is(err, errLost) != c.lost || p.pending() != (c.pending || c.lost && len(c.looks) > 1) {
				t.Errorf("judged as %v, pending %t", err, p.pending())
			}
		})
	}
}
