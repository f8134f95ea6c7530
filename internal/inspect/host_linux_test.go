// SPDX-License-Identifier: Apache-2.0

package inspect_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestHost inspects a namespace whose default route moves from nowhere to a
// device that is not Ethernet, and then to one that is.
func TestHost(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	n, err := lab.New()
	if err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	defer n.Close()
	router, err := lab.New()
	must(err)
	defer router.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "tun0"
	must(n.Do(func() error { return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN}) }))
	must(n.Up("tun0"))
	must(n.Veth("eth0", [6]byte{2, 0, 0, 0, 0, 2}, router, "port", [6]byte{2, 0, 0, 0, 0, 1}))
	must(n.Address("eth0", "2001:db8:1::2/64"))
	ready := func(rules.Link, *ndp.Interface, rules.SourcePolicy) (uplink.State, string) { return uplink.Ready, "" }
	steps := []struct {
		name    string
		change  func() error
		summary string
		text    string
	}{
		{"no default route", func() error { return nil }, "0 uplinks, 0 rules, 1 warning", "no interface has an IPv6 default route"},
		{"through a tunnel", func() error { return n.Route("::/0", "", "tun0") }, "0 uplinks, 0 rules, 1 warning", "the IPv6 default route leads through tun0, which is not Ethernet"},
		{"through Ethernet", func() error { return errors.Join(n.Delete("tun0"), n.Route("::/0", "fe80::1", "eth0")) }, "1 uplink, 0 rules, 1 warning", "the node does not forward IPv6 packets that arrive on eth0"},
		{"the interface alone is set to forward", func() error { return n.Sysctl("net/ipv6/conf/eth0/forwarding", "1") }, "1 uplink, 0 rules, 1 warning", "the node does not forward IPv6 packets that arrive on eth0"},
		{"all are", func() error { return n.Sysctl("net/ipv6/conf/all/forwarding", "1") }, "1 uplink, 1 rule, 0 warnings", ""},
		{"all but the interface", func() error { return n.Sysctl("net/ipv6/conf/eth0/forwarding", "0") }, "1 uplink, 1 rule, 0 warnings, 1 for information", "advertisements say that the node is not a router"},
	}
	for _, s := range steps {
		must(s.change())
		var got inspect.Inspection
		must(n.Do(func() (err error) {
			got, err = inspect.Host(config.Discovery(), ready, nil)
			return err
		}))
		var b strings.Builder
		must(got.WriteText(&b))
		if got.Summary() != s.summary || !strings.Contains(b.String(), s.text) {
			t.Errorf("%s: %s\n%s", s.name, got.Summary(), &b)
		}
	}
}
