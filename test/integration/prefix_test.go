// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// advertiser sends router advertisements.
type advertiser struct {
	t    *testing.T
	conn *ndp.Conn
}

func newAdvertiser(t *testing.T, router *lab.Namespace, device string) *advertiser {
	t.Helper()
	a := &advertiser{t: t}
	harness.Eventually(t, "link-local address", func() bool {
		return router.Do(func() error {
			ifi, err := net.InterfaceByName(device)
			if err != nil {
				return err
			}
			// The zone of what is sent: a name would be looked up later, in the namespace
			// that some thread is in.
			ifi.Name = strconv.Itoa(ifi.Index)
			a.conn, _, err = ndp.Listen(ifi, ndp.LinkLocal)
			return err
		}) == nil
	})
	t.Cleanup(func() { _ = a.conn.Close() })
	return a
}

// advertise sends prefixes of 64 bits with their lifetimes.
func (a *advertiser) advertise(valid, preferred time.Duration, prefixes ...string) {
	a.t.Helper()
	ra := &ndp.RouterAdvertisement{CurrentHopLimit: 64, RouterLifetime: 30 * time.Minute}
	for _, p := range prefixes {
		ra.Options = append(ra.Options, &ndp.PrefixInformation{
			PrefixLength: 64, OnLink: true, AutonomousAddressConfiguration: true,
			ValidLifetime: valid, PreferredLifetime: preferred, Prefix: netip.MustParseAddr(p),
		})
	}
	harness.Must(a.t, a.conn.WriteTo(ra, nil, netip.MustParseAddr("ff02::1")))
}

// newAdvertised returns a network whose node gets its prefixes from the router.
func newAdvertised(t *testing.T) (*harness.Network, *advertiser) {
	t.Helper()
	n := &harness.Network{Router: harness.Namespace(t), Node: harness.Namespace(t)}
	harness.Must(t, n.Node.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Must(t, n.Node.Sysctl("net/ipv6/conf/default/accept_ra", "2"))
	harness.Must(t, n.Router.Veth(harness.RouterPort, conformance.RouterMAC, n.Node, harness.Uplink, conformance.NodeMAC))
	return n, newAdvertiser(t, n.Router, harness.RouterPort)
}

// TestAdvertisedPrefix follows the prefix of router advertisements: there is none at
// first, it changes, the old one is deprecated, and then withdrawn.
func TestAdvertisedPrefix(t *testing.T) {
	t.Parallel()
	n, router := newAdvertised(t)
	config := harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules:\n  - {prefix: 'uplink/64:f::/80', method: static}\n")
	d := harness.Run(t, n.Node, "--config", config)
	one, two, three := addr("2001:db8:1:0:f::5"), addr("2001:db8:2:0:f::5"), addr("2001:db8:3:0:f::5")
	ruleState := func(what string, wanted func(status.RuleState) bool) {
		t.Helper()
		d.Wait(what, func(s status.Status) bool { return len(s.RuleStates) == 1 && wanted(s.RuleStates[0]) })
	}
	stands := func(s status.RuleState, target netip.Addr, deprecated bool) bool {
		for _, p := range s.Prefixes {
			if p.Prefix.Contains(target) {
				return p.Deprecated == deprecated
			}
		}
		return false
	}
	a := newAsker(t, n)
	ruleState("waiting rule", func(s status.RuleState) bool {
		return s.Rule == "uplink/64:f::/80=static" && len(s.Waits) == 1 && len(s.Prefixes) == 0
	})
	if f := a.Ask(one, harness.Quiet); f != nil {
		t.Errorf("answered before there is a prefix: % x", f)
	}
	if e := d.Explain(one); len(e.Answers) != 1 || len(e.Answers[0].Waits) != 1 {
		t.Errorf("explain does not name the rule that waits: %+v", e)
	}
	var out bytes.Buffer
	if code := command(t, n, &out, 0, "check", "--config", config); code != 0 || !contains(out.String(), "no_prefix") || !contains(out.String(), "waits: uplink has no global address") {
		t.Errorf("check ends with %d and says\n%s", code, out.String())
	}

	t.Log("the first prefix comes")
	router.advertise(time.Hour, time.Hour, "2001:db8:1::")
	a.WantAnswer(one)
	if e := d.Explain(one).Answers[0]; e.Rule == nil || e.Rule.Template != "uplink/64:f::/80" || e.Rule.Index != 0 || e.Rule.Deprecated {
		t.Errorf("the rule of %s is %v", one, e.Rule)
	}

	t.Log("another one takes its place: the old one is deprecated, and answered for while it is valid")
	router.advertise(time.Hour, 0, "2001:db8:1::")
	router.advertise(time.Hour, time.Hour, "2001:db8:2::")
	a.WantAnswer(two)
	a.WantAnswer(one)
	ruleState("deprecated prefix", func(s status.RuleState) bool { return stands(s, one, true) && stands(s, two, false) })
	if e := d.Explain(one).Answers[0]; e.Rule == nil || !e.Rule.Deprecated {
		t.Errorf("the rule of %s is %v, which should be deprecated", one, e.Rule)
	}
	out.Reset()
	if code := command(t, n, &out, 0, "status"); code != 0 || !contains(out.String(), "2001:db8:1:0:f::/80 on uplink (deprecated: ") {
		t.Errorf("status ends with %d and says\n%s", code, out.String())
	}

	t.Log("the router withdraws the old one, whose addresses the kernel keeps for two hours")
	router.advertise(0, 0, "2001:db8:1::")
	a.WantSilence(one)
	a.WantAnswer(two)

	t.Log("a prefix is replaced by another at once, over a reload")
	router.advertise(0, 0, "2001:db8:2::")
	router.advertise(time.Hour, time.Hour, "2001:db8:3::")
	d.Reload()
	a.WantAnswer(three)
	a.WantSilence(two)
	harness.Eventually(t, "line of the log for the last prefix", func() bool {
		return strings.Contains(d.Log(), `"rule":"uplink/64:f::/80=static","index":0,"now":"2001:db8:3:0:f::/80 on uplink"}`)
	})
}

// TestUplinkPrefix follows addresses that are assigned by hand or by DHCPv6, with a
// rule of the command line that has the method route.
func TestUplinkPrefix(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Must(t, n.Node.Address(harness.Uplink, "fd00:1::2/64"))
	device(t, n.Node, "pods")
	pods := []string{"2001:db8:1:0:f::5", "fd00:1::f:0:0:5", "2001:db8:9:0:f::5"}
	for _, p := range pods {
		route(t, n.Node, p+"/128", "pods", n.Node.Link.RouteAdd)
	}
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", "uplink=route")
	a := newAsker(t, n)
	a.WantAnswer(addr(pods[0]))
	a.WantAnswer(addr(pods[1]))
	if f := a.Ask(addr(pods[2]), harness.Quiet); f != nil {
		t.Errorf("a prefix that is not the uplink's is answered for: % x", f)
	}
	link, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	old, err := netlink.ParseAddr(conformance.NodeAddr.String() + "/64")
	harness.Must(t, err)
	harness.Must(t, n.Node.Address(harness.Uplink, "2001:db8:9::2/64"))
	harness.Must(t, n.Node.Link.AddrDel(link, old))
	a.WantAnswer(addr(pods[2]))
	a.WantSilence(addr(pods[0]))
	a.WantAnswer(addr(pods[1]))

	t.Log("the uplink goes and comes back")
	harness.Must(t, n.Node.Down(harness.Uplink))
	d.Wait("the rule to wait", func(s status.Status) bool {
		return s.Rules == 0 && len(s.RuleStates) == 1 && len(s.RuleStates[0].Waits) == 1
	})
	harness.Must(t, n.Node.Up(harness.Uplink))
	harness.Must(t, n.Node.Address(harness.Uplink, "2001:db8:1::2/64"))
	a.WantAnswer(addr(pods[0]))
}

// TestPrefixLifetimes lets the lifetimes of an address run out, as of a DHCPv6 lease that
// is not renewed. The prefix is deprecated at first, and then it is gone.
func TestPrefixLifetimes(t *testing.T) {
	t.Parallel()
	n := bareNetwork(t)
	// The kernel looks for routes that have expired every half minute, and tells then.
	harness.Must(t, n.Node.Sysctl("net/ipv6/route/gc_interval", "1"))
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", "uplink/64:f::/80=static")
	link, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	address, err := netlink.ParseAddr("2001:db8:1::2/64")
	harness.Must(t, err)
	address.PreferedLft, address.ValidLft = 1, 4 // seconds
	harness.Must(t, n.Node.Link.AddrAdd(link, address))
	a := newAsker(t, n)
	target := addr("2001:db8:1:0:f::5")
	d.Wait("the deprecated prefix", func(s status.Status) bool {
		return len(s.RuleStates) == 1 && len(s.RuleStates[0].Prefixes) == 1 && s.RuleStates[0].Prefixes[0].Deprecated
	})
	a.WantAnswer(target)
	d.Wait("the rule to wait", func(s status.Status) bool { return len(s.RuleStates) == 1 && len(s.RuleStates[0].Waits) == 1 })
	a.WantSilence(target)
}

// TestPrefixOfSingleAddress has a single address by DHCPv6 and the on-link prefix by a
// router advertisement that nobody makes addresses of, and then the address alone.
func TestPrefixOfSingleAddress(t *testing.T) {
	t.Parallel()
	n, router := newAdvertised(t)
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", "uplink=static", "--rule", "uplink/64:f::/80=static")
	a := newAsker(t, n)
	wide, narrow := addr("2001:db8:1::77"), addr("2001:db8:1:0:f::5")
	harness.Must(t, n.Node.Address(harness.Uplink, "2001:db8:1::2/128"))
	a.WantAnswer(narrow)
	a.WantSilence(wide)
	d.Wait("the reason", func(s status.Status) bool {
		return len(s.RuleStates) == 2 && len(s.RuleStates[0].Waits) == 1 && strings.Contains(s.RuleStates[0].Waits[0], `"uplink/64"`)
	})
	onLink := func(valid time.Duration) {
		harness.Must(t, router.conn.WriteTo(&ndp.RouterAdvertisement{RouterLifetime: time.Hour, Options: []ndp.Option{&ndp.PrefixInformation{
			PrefixLength: 64, OnLink: true, ValidLifetime: valid, PreferredLifetime: valid, Prefix: netip.MustParseAddr("2001:db8:1::"),
		}}}, nil, netip.MustParseAddr("ff02::1")))
	}
	onLink(time.Hour)
	a.WantAnswer(wide)
	a.WantAnswer(narrow)
	onLink(0)
	a.WantSilence(wide)
	a.WantAnswer(narrow)
}
