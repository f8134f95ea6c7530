// SPDX-License-Identifier: Apache-2.0

package ndp

import "testing"

// TestOverlap reads two sockets one after the other, which have frames in common.
func TestOverlap(t *testing.T) {
	t.Parallel()
	type frame struct {
		octets string
		at     int64 // 0 for no stamp
	}
	a, b, c := frame{"a", 1}, frame{"b", 2}, frame{"c", 3}
	tests := []struct {
		name     string
		old, new []frame
		taken    int // of the new ones
	}{
		{"nothing in common", []frame{a}, []frame{b, c}, 2},
		{"all in common", []frame{a, b}, []frame{a, b}, 0},
		{"the new one begins later and ends later", []frame{a, b}, []frame{b, c}, 1},
		{"the old one has lost one", []frame{a, c}, []frame{a, b, c}, 1},
		{"another order", []frame{a, b}, []frame{b, a, c}, 1},
		{"the same octets again", []frame{{"a", 1}}, []frame{{"a", 1}, {"a", 2}}, 1},
		{"without stamps", []frame{{"a", 0}, {"a", 0}}, []frame{{"a", 0}, {"a", 0}, {"a", 0}, {"b", 0}}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var o overlap
			has := func(f frame) bool {
				// A socket's own time does not count.
				rx := received{frame: []byte(f.octets), at: f.at, stamped: f.at != 0}
				return o.has(&rx)
			}
			if has(a) {
				t.Error("passed over without a move")
			}
			o.begin()
			for _, f := range tt.old {
				if has(f) {
					t.Errorf("%v of the old socket is passed over", f)
				}
			}
			o.pass()
			taken := 0
			for _, f := range tt.new {
				if !has(f) {
					taken++
				}
			}
			if taken != tt.taken {
				t.Errorf("%d frames of the new socket are taken, not %d", taken, tt.taken)
			}
			o.end()
			if has(tt.new[0]) {
				t.Error("passed over after the end")
			}
		})
	}
	t.Run("end by itself", func(t *testing.T) {
		t.Parallel()
		var o overlap
		o.begin()
		o.has(&received{frame: []byte("a")})
		o.pass()
		for range ringSlots { // of others
			o.has(&received{frame: []byte("b")})
		}
		if o.has(&received{frame: []byte("a")}) {
			t.Error("a frame is passed over that has come much later")
		}
	})
}
