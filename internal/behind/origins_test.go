// SPDX-License-Identifier: Apache-2.0

package behind_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestOrigins judges one address by the main table, by another one that a rule names,
// and for an uplink that does not exist.
func TestOrigins(t *testing.T) {
	t.Parallel()
	const target, table = "2001:db8:1::5/128", 100
	r := testRoutes()
	j := behind.New(r)
	j.SetUplinks([]int{uplink})
	if !j.SetOrigins(map[string]int{"eth0": uplink, "eth9": 0}, []uint32{table}) {
		t.Error("the origins change nothing")
	}
	if j.SetOrigins(map[string]int{"eth0": uplink, "eth9": 0}, []uint32{table}) {
		t.Error("the same origins change something")
	}
	d, version := j.Domains()
	if d.Count != 2 || d.Uplinks["eth0"] != 0 || d.Uplinks["eth9"] != 0 || d.Tables[table] != 1 || version != j.Version() {
		t.Errorf("domains are %+v", d)
	}
	for id, index := range map[uint32]int32{unix.RT_TABLE_MAIN: uplink, table: pod1} {
		msg := message(target, dev(index))
		msg.Table = id
		if changed, _ := r.Apply(msg, 0, false); len(changed) != 1 {
			t.Errorf("table %d: changed %s", id, changed)
		}
	}
	p := netip.MustParsePrefix(target)
	for domain, want := range map[rules.Domain]bool{0: false, 1: true} {
		if e, ok := j.EntryIn(domain, p); !ok || e.Behind != want {
			t.Errorf("domain %d: entry is %+v, %t", domain, e, ok)
		}
		n := 0
		for e := range j.AllIn(domain) {
			if n++; e.Prefix != p || e.Behind != want {
				t.Errorf("domain %d: entry is %+v", domain, e)
			}
		}
		if n != 1 {
			t.Errorf("domain %d: %d entries", domain, n)
		}
	}
	if _, ok := j.EntryIn(7, p); ok {
		t.Error("a domain that does not exist has an entry")
	}
	for _, tt := range []struct {
		uplink       string
		table        uint32
		behind, back bool
	}{{"eth0", 0, false, true}, {"eth9", 0, false, true}, {"eth0", table, true, false}, {"eth0", 101, false, true}} {
		from := j.From(tt.uplink, tt.table)
		if e := from.Explain(p.Addr()); e.Behind != tt.behind || from.LeadsBehind(p) != tt.behind || from.LeadsBack(p) != tt.back {
			t.Errorf("%s, table %d: explained as %+v", tt.uplink, tt.table, e)
		}
	}
}
