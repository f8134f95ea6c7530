// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"reflect"
	"testing"
	"time"
	"unsafe"
)

// TestFact wants each field of an entry to come back from the store alone, and the store
// to be as small as it is for hundreds of thousands of entries.
func TestFact(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(fact{}); size > 24 {
		t.Errorf("a fact has %d octets", size)
	}
	p := netip.MustParsePrefix("2001:db8::5/128")
	set := map[string]any{"Prefix": p, "Kinds": ExternalIPs, "Device": int32(7), "Lists": ListsOf("/a"), "Since": time.Unix(1_800_000_000, 0)}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Entry]()) {
		e := Entry{Prefix: p, Since: time.Unix(0, 0)}
		v, ok := set[f.Name]
		if !ok {
			v = true
		}
		reflect.ValueOf(&e).Elem().FieldByIndex(f.Index).Set(reflect.ValueOf(v))
		want := e
		want.Attached = e.Attached || e.Neighbor // see [Entry.Attached]
		var s Store
		if got := s.entry(p, s.fact(e)); got != want {
			t.Errorf("with %s: %+v, want %+v", f.Name, got, want)
		}
	}
}
