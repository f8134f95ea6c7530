// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestHandOver has the other host of a pair claim an address while both have a rule for
// it, as for a moment in a change of hands. When the rule holds again after it has
// waited, the claim is forgotten, and the exact address is announced at once.
func TestHandOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(up("eth0", 2))
		exact := netip.MustParseAddr("2001:db8::5")
		rs := append(static("2001:db8::/64"), static(exact.String()+"/128")...)
		waiting := append([]rules.Rule{}, rs...)
		for i := range waiting {
			waiting[i].While.Interface, waiting[i].Waiting = "wg0", true
		}
		r := run(t, h, rs, "eth0")
		defer r.stop()
		socket := h.open()
		time.Sleep(time.Minute) // until the address is announced
		sign := ndp.Sighting{Address: exact, MAC: [6]byte{2, 9}, Advertisement: true, Override: true}
		socket.config.Sighted(sign)
		sign.Solicited = true
		asked := socket.frames()
		for range 1000 { // ten seconds
			if n := socket.frames(); n > asked { // the other host answers
				asked = n
				socket.config.Sighted(sign)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if len(r.facts("eth0").Conflicts) != 1 {
			t.Fatal("the claim does not stand")
		}
		if err := r.store.SetRules(waiting); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := r.facts("eth0").View.Find(exact); v.Answer || v.Silence != rules.Standby {
			t.Errorf("while the rule waits the verdict is %+v", v)
		}
		before := socket.frames()
		if err := r.store.SetRules(rs); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := r.facts("eth0").View.Find(exact); !v.Answer || len(r.facts("eth0").Conflicts) != 0 {
			t.Errorf("when the rule holds again the verdict is %+v", v)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if socket.frames() == before {
			t.Error("the address is not announced")
		}
	})
}
