// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestNewcomer has stations of the link take addresses of the on-link prefix as their
// own, with real duplicate address detection. What nobody behind the node has is
// theirs; what is in use behind the node is not.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	const behind = "2001:db8:1:0:f::9" // has a host route
	file := func(rule string) func(*testing.T) []string {
		return func(t *testing.T) []string {
			return []string{"--config", harness.WriteConfig(t, "version: 1\nuplinks: [{interface: eth0}]\nrules:\n  - {prefix: '2001:db8:1::/64', "+rule+"}\n")}
		}
	}
	ndppd := func(method string) func(*testing.T) []string {
		return func(t *testing.T) []string {
			return []string{"--config", ndppdConfig(t, "proxy eth0 {\n  rule 2001:db8:1::/64 {\n    "+method+"\n  }\n}\n")}
		}
	}
	for name, c := range map[string]struct {
		args     func(*testing.T) []string
		defended bool // what nobody has is, too
	}{
		"discovery":            {args: func(*testing.T) []string { return nil }},
		"static":               {args: file("method: static")},
		"route":                {args: file("method: route")},
		"static of ndppd.conf": {args: ndppd("static")},
		"auto of ndppd.conf":   {args: ndppd("auto")},
		"static that defends":  {args: file("method: static, dad: defend"), defended: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			device(t, l.node, "docker0")
			route(t, l.node, "2001:db8:1:0:f::/80", "docker0", l.node.Link.RouteAdd)
			route(t, l.node, behind+"/128", "docker0", l.node.Link.RouteAdd)
			route(t, l.node, "::/0", "eth0", l.node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
			d := harness.Run(t, l.node, c.args(t)...)
			harness.NewAsker(t, l.router, "eth0").WantAnswer(addr(behind))
			for i, address := range []string{"2001:db8:1::a3", "2001:db8:1:0:f::a3"} {
				n := l.sw.connect("newcomer"+string(rune('a'+i)), [6]byte{2, 0, 0, 0, 0, byte(0x40 + i)})
				if c.defended && !isDefended(t, n, "eth0", address+"/64") || !c.defended && !takesAddress(t, n, "eth0", address+"/64") {
					t.Errorf("%s: defended is not %t", address, c.defended)
				}
				if e := d.Explain(addr(address)).Answers[0]; e.Answered && (e.DAD == "") != c.defended {
					t.Errorf("%s is explained as %+v", address, e)
				}
			}
			n := l.sw.connect("thief", [6]byte{2, 0, 0, 0, 0, 0x50})
			if !isDefended(t, n, "eth0", behind+"/64") {
				t.Errorf("%s is in use behind the node, and was given away", behind)
			}
		})
	}
}

// ndppdConfig writes an ndppd.conf for the test and returns its path.
func ndppdConfig(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ndppd.conf")
	harness.Rewrite(t, path, content)
	return path
}

// TestNewcomerBesideSingleAddress has an uplink without a prefix, as RFC 7278 leaves it:
// a rule for the 64 bits around its address covers those of other stations.
func TestNewcomerBesideSingleAddress(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"static":           {"--rule", sharedPrefix + "=static"},
		"template":         {"--rule", "uplink/64=static"},
		"static of a part": {"--rule", "2001:db8:1:0:a::/80=static"},
		"route":            {"--rule", sharedPrefix + "=route"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			unaddress(t, l.node, "eth0", conformance.NodeAddr.String()+"/64")
			harness.Must(t, l.node.Address("eth0", conformance.NodeAddr.String()+"/128"))
			route(t, l.node, "::/0", "eth0", l.node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = linkLocal(conformance.RouterMAC).AsSlice() })
			d := harness.Run(t, l.node, append([]string{"--interface", "eth0"}, args...)...)
			d.WaitReady()
			n := l.sw.connect("newcomer", [6]byte{2, 0, 0, 0, 0, 0x40})
			if !takesAddress(t, n, "eth0", "2001:db8:1::a7/64") {
				t.Error("the node keeps a newcomer from its address")
			}
		})
	}
}
