// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"net/netip"
	"testing"
	"time"
)

// TestDroppedInquiries drops inquiries before their questions could leave: nothing is due
// any more, else the uplink would run without a pause.
func TestDroppedInquiries(t *testing.T) {
	t.Parallel()
	var q inquiries
	now := time.Unix(1_000_000, 0)
	first, second := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	q.begin(first, true, true, now)
	q.begin(second, true, false, now.Add(time.Minute))
	q.drop(first)
	q.drop(second)
	q.turn(new(Uplink), now)
	if at, ok := q.next(now); ok {
		t.Errorf("something is due at %s", at)
	}
	q.begin(first, true, true, now)
	if at, ok := q.next(now); !ok || at.After(now) {
		t.Errorf("an inquiry that begins anew is due at %s, %t", at, ok)
	}
}
