// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"strings"
	"testing"
)

// TestTargets stands in for the panel's machines, at one bridge. The panel's file is
// written as the page says.
func TestTargets(t *testing.T) {
	t.Parallel()
	p := &page{network: link(t)}
	p.bridge("vmbr1", "2001:db8:1:0:7::1/80")
	for device, address := range map[string]string{
		"tap1": "2001:db8:1:0:7::11", "tap2": "2001:db8:1:0:7:12::5", "tap3": "2001:db8:1:0:7::13", "tap4": "2001:db8:1:0:7::14", "tap5": "2001:db8:1:0:7::15",
	} {
		p.guest(device, "vmbr1", address+"/80", "2001:db8:1:0:7::1")
	}
	p.play("targets.md")
	p.reached("2001:db8:1:0:7::11")
	p.reached("2001:db8:1:0:7:12::5")
	p.reached("2001:db8:1:0:7::13")
	p.silent("2001:db8:1:0:7::15")

	t.Log("a wrong line keeps the others")
	p.node.run("echo 2001:db8:1:0:7::15x >> /var/lib/panel/addresses; echo 2001:db8:1:0:7::15 >> /var/lib/panel/addresses")
	p.reached("2001:db8:1:0:7::15")
	if out := p.node.run("ndproxyd check"); !strings.Contains(out, "line 7: ") {
		t.Errorf("check does not name the wrong line: %s", out)
	}
}
