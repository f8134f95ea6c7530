// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestOwnerChanges moves a service address between this node and another, and
// counts what is announced. However soon one move follows the other, the last one
// counts: both come by the store, in order.
func TestOwnerChanges(t *testing.T) {
	t.Parallel()
	address := netip.MustParsePrefix("2001:db8::5/128")
	ours := rules.Entry{Prefix: address, Behind: true}
	leaving := rules.Entry{Prefix: address, Behind: true, Leaving: true}
	others := rules.Entry{Prefix: address}
	tests := []struct {
		name    string
		entries []rules.Entry // one right after the other
		frames  int
	}{
		{"ours", []rules.Entry{ours}, 3}, // MAX_NEIGHBOR_ADVERTISEMENT, RFC 4861 §10
		{"ours, then leaving", []rules.Entry{ours, leaving}, 0},
		{"ours, then another's", []rules.Entry{ours, leaving, others}, 0},
		{"leaving, and taken over again", []rules.Entry{ours, leaving, others, ours}, 3},
		{"taken over, and leaving", []rules.Entry{others, ours, leaving}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost(up("eth0", 2))
				r := run(t, h, []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Services}}, "eth0")
				defer r.stop()
				for _, e := range tt.entries {
					r.store.Update(rules.ServiceAddresses, []rules.EntryChange{{Entry: e}})
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if n := h.open().frames(); n != tt.frames {
					t.Errorf("%d announcements, want %d", n, tt.frames)
				}
				last := tt.entries[len(tt.entries)-1]
				if v := r.facts("eth0").View.Find(address.Addr()); v == nil || v.Answer != last.Behind {
					t.Errorf("the verdict is %+v", v)
				}
			})
		})
	}
}
