// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"testing"
	"time"
)

// TestHoldEnds answers without a daemon for as long as the settings say.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, r *Responder){
		"killed": crash,
		"ended":  func(t *testing.T, r *Responder) { check(t, r.Hold()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.FastPathHold = 5 * time.Second // long enough to ask on a host that is busy
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			end(t, r)
			s.want("at first", "2001:db8:f1::1", true)
			s.eventually("no answer after the hold", func() bool {
				_, ok := s.answered("2001:db8:f1::1", silence)
				return !ok
			})
			r = s.listen(view(t, static("2001:db8:f1::/64")))
			s.want("again", "2001:db8:f1::1", true)
			check(t, r.Close())
		})
	}
}
