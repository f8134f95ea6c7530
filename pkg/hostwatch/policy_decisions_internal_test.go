// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// model decides for one address as the kernel does, step by step.
func model(r *Routes, l Lookup, p netip.Prefix) string {
	a := netip.PrefixFrom(p.Addr(), 128)
	for i := 0; i < len(l); i++ {
		s := &l[i]
		if s.to.IsValid() && s.to.Contains(a.Addr()) == s.except {
			continue
		}
		if s.next > 0 {
			i = s.next - 1
			continue
		}
		if s.refuse != 0 {
			return "refused by " + s.text
		}
		at, paths, ok := s.table.covering(a)
		if !ok || paths[0].Kind == unix.RTN_THROW || paths[0].Kind == unix.RTN_UNICAST && at.Bits() <= s.suppress {
			continue
		}
		return at.String() + " dev " + r.deviceName(paths[0].Index)
	}
	return "nothing"
}

// FuzzDecisions compares the decisions that are kept up to date by prefixes with what
// the kernel does for single addresses, while rules and routes change.
func FuzzDecisions(f *testing.F) {
	for i := range uint64(300) {
		random, seed := rand.NewPCG(i, 1), make([]byte, 96)
		for j := range seed {
			seed[j] = byte(random.Uint64())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		next := func() int {
			if len(b) == 0 {
				return 0
			}
			v := b[0]
			b = b[1:]
			return int(v)
		}
		// Prefixes of the 16 addresses ::0 to ::f, so that they meet often.
		prefix := func() netip.Prefix {
			p, _ := netip.AddrFrom16([16]byte{0x20, 0x01, 15: byte(next() % 16)}).Prefix([]int{0, 64, 124, 125, 126, 127, 128}[next()%7])
			return p
		}
		var policy [][]byte
		for i := range 2 + next()%4 {
			rule := policyMessage(uint32(i*10), uint32(100+next()%3), actionTable)
			kind := next() % 8
			switch kind {
			case 0:
				rule = append(rule, suppresses([]uint32{0, 64, 125}[next()%3])...)
			case 1:
				rule = policyMessage(uint32(i*10), 0, actionGoto, attr(fraGoto, u32(uint32(i+1+next()%2)*10)))
			case 2:
				rule = policyMessage(uint32(i*10), 0, actionUnreachable)
			}
			if to := prefix(); kind < 6 && to.Bits() > 0 {
				rule = selects(rule, fraDst, to.String())
			}
			if kind == 3 {
				rule = inverted(rule)
			}
			policy = append(policy, rule)
		}
		r := testRoutes()
		r.setPolicy(parsePolicies(policy))
		kept := make(map[netip.Prefix]string)
		text := func(d Decision) string {
			switch {
			case d.Route.IsValid() && d.Paths[0].Kind == unix.RTN_THROW, !d.Route.IsValid() && d.Rule == "":
				return "nothing"
			case !d.Route.IsValid():
				return "refused by " + d.Rule
			}
			return d.Route.String() + " dev " + r.deviceName(d.Paths[0].Index)
		}
		r.Read(func(tables Tables) {
			for d := range tables.Decisions() {
				kept[d.At] = text(d)
			}
		})
		for range 3 + next()%8 {
			path := dev(int32(2 + next()%4))
			if next()%4 == 0 {
				path = typed(unix.RTN_THROW)
			}
			msg := message(prefix().String(), path)
			msg.Table = uint32(100 + next()%3)
			changed, _ := r.Apply(msg, unix.NLM_F_REPLACE, next()%4 == 0)
			r.Read(func(tables Tables) {
				for _, p := range changed {
					delete(kept, p)
					if d, ok := tables.Decide(p); ok && d.At == p {
						kept[p] = text(d)
					}
				}
				all := make(map[netip.Prefix]string)
				for d := range tables.Decisions() {
					if _, twice := all[d.At]; twice {
						t.Errorf("%s comes twice", d.At)
					}
					all[d.At] = text(d)
				}
				for i := range 18 {
					a := netip.AddrFrom16([16]byte{0x20, 0x01, 14: byte(i / 16), 15: byte(i % 16)})
					want := model(r, tables.l, netip.PrefixFrom(a, 128))
					for name, m := range map[string]map[netip.Prefix]string{"kept": kept, "anew": all} {
						got, most := "nothing", -1
						for p, s := range m {
							if p.Contains(a) && p.Bits() > most {
								got, most = s, p.Bits()
							}
						}
						if got != want && (got != "nothing" || !strings.HasPrefix(want, "refused")) {
							t.Errorf("%s, %s: got %q, want %q, by %s", a, name, got, want, tables.l.show())
						}
					}
				}
			})
		}
	})
}
