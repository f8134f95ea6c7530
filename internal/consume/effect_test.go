// SPDX-License-Identifier: Apache-2.0

package consume_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/internal/lab"
)

// TestBorders sends packets to the first and last addresses of prefixes, and to
// those beside them, of a node that routes them all back: what is in the set does
// not come back, what is not does.
func TestBorders(t *testing.T) {
	t.Parallel()
	nodeMAC, routerMAC := [6]byte{2, 0, 0, 0, 0, 1}, [6]byte{2, 0, 0, 0, 0, 2}
	node, err := lab.New()
	if err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	defer node.Close()
	router, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	defer router.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(node.Veth("uplink", nodeMAC, router, "eth0", routerMAC))
	must(node.Address("uplink", "2001:db8::1/64"))
	must(router.Address("eth0", "2001:db8::2/64"))
	must(node.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	must(node.Route("2001:db8:f000::/36", "2001:db8::2", "uplink"))
	link, err := node.Link.LinkByName("uplink")
	must(err)

	uplink := consume.Uplink{Index: link.Attrs().Index, MAC: nodeMAC, Loops: []netip.Prefix{
		netip.MustParsePrefix("2001:db8:f001::/48"),
		netip.MustParsePrefix("2001:db8:f002::/48"), // beside the one before
		netip.MustParsePrefix("2001:db8:f001:7::/64"),
		netip.MustParsePrefix("2001:db8:f004::5/128"),
	}}
	var table *consume.Table
	must(node.Do(func() error {
		if table, err = consume.Open(); err != nil {
			return err
		}
		return table.Set([]consume.Uplink{uplink})
	}))
	defer table.Close()
	var port *packet.Conn
	must(router.Do(func() error {
		device, err := net.InterfaceByName("eth0")
		if err == nil {
			port, err = packet.Listen(device, packet.Raw, unix.ETH_P_IPV6, nil)
		}
		return err
	}))
	defer port.Close()

	// returns sends a packet to each address, and reports which come back before
	// the last one, which nothing drops.
	returns := func(addrs ...string) map[string]bool {
		t.Helper()
		back := make(map[string]bool)
		// The first ones may be lost while neighbors are resolved.
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			for _, a := range addrs {
				f := make([]byte, 54)
				copy(f, nodeMAC[:])
				copy(f[6:], routerMAC[:])
				binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IPV6)
				f[14], f[20], f[21] = 6<<4, unix.IPPROTO_NONE, 64
				copy(f[22:], netip.MustParseAddr("2001:db8::2").AsSlice())
				copy(f[38:], netip.MustParseAddr(a).AsSlice())
				if _, err := port.WriteTo(f, &packet.Addr{HardwareAddr: nodeMAC[:]}); err != nil {
					t.Fatal(err)
				}
			}
			must(port.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
			for {
				f := make([]byte, 2048)
				n, _, err := port.ReadFrom(f)
				if err != nil {
					break
				}
				if n < 54 || f[20] != unix.IPPROTO_NONE || [6]byte(f[6:12]) != nodeMAC {
					continue
				}
				a := netip.AddrFrom16([16]byte(f[38:54])).String()
				if back[a] = true; a == addrs[len(addrs)-1] {
					return back
				}
			}
		}
		t.Fatal("no packet comes back")
		return nil
	}
	tests := []struct {
		address string
		dropped bool
	}{
		{"2001:db8:f000:ffff:ffff:ffff:ffff:ffff", false},
		{"2001:db8:f001::", true},
		{"2001:db8:f001:7::1", true},
		{"2001:db8:f001:8::1", true},
		{"2001:db8:f001:ffff:ffff:ffff:ffff:ffff", true},
		{"2001:db8:f002::", true},
		{"2001:db8:f002:ffff:ffff:ffff:ffff:ffff", true},
		{"2001:db8:f003::", false},
		{"2001:db8:f004::4", false},
		{"2001:db8:f004::5", true},
		{"2001:db8:f004::6", false},
		{"2001:db8:f005::", false}, // the last one shows that all were handled
	}
	var addrs []string
	for _, tt := range tests {
		addrs = append(addrs, tt.address)
	}
	returns("2001:db8:f005::1") // neighbors are resolved now
	back := returns(addrs...)
	for _, tt := range tests {
		if back[netip.MustParseAddr(tt.address).String()] == tt.dropped {
			t.Errorf("%s: dropped is not %t", tt.address, tt.dropped)
		}
	}
}
