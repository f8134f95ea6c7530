// SPDX-License-Identifier: Apache-2.0

package recipes

import "testing"

// TestAnyIP needs no stand-in: the kernel takes the packets.
func TestAnyIP(t *testing.T) {
	t.Parallel()
	p := &page{network: link(t)}
	p.play("anyip.md")
	p.reached("2001:db8:1:0:c::1234")
	p.reached("2001:db8:1:0:c::ffff")
	p.silent("2001:db8:1:0:d::1")
}
