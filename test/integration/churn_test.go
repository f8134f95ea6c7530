// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestChurn changes routes, devices and policy rules at random, some of it while
// the daemon is stopped, and wants it to agree with the kernel in the end: a
// packet for an address leaves by a device behind the node exactly when the
// address is answered for. Where the uplink has a prefix on-link that is as specific
// as the route, the target is asked for, and nobody behind has it.
func TestChurn(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			churn(t, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

func churn(t *testing.T, rng *rand.Rand) {
	n := harness.NewNetwork(t)
	for _, name := range []string{"pod1", "pod2"} {
		device(t, n.Node, name)
	}
	harness.Must(t, n.Node.Route("::/0", conformance.RouterAddr.String(), harness.Uplink))
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", routeRule)
	a := newAsker(t, n)
	const addresses, rounds, changes = 24, 8, 60
	target := func(i int) netip.Addr {
		b := conformance.PodPrefix.Addr().As16()
		b[14], b[15] = byte(i/8), byte(i%8)
		return netip.AddrFrom16(b)
	}
	index := func(name string) int {
		link, err := n.Node.Link.LinkByName(name)
		harness.Must(t, err)
		return link.Attrs().Index
	}
	behind := map[int]bool{index("pod1"): true, index("pod2"): true}
	change := func() {
		bits := []int{128, 128, 128, 126, 125, 120}[rng.IntN(6)]
		prefix, _ := target(rng.IntN(addresses)).Prefix(bits)
		dst, err := netlink.ParseIPNet(prefix.String())
		harness.Must(t, err)
		r := &netlink.Route{Dst: dst, Priority: 1 + rng.IntN(3)}
		switch rng.IntN(5) {
		case 0:
			r.LinkIndex = index(harness.Uplink)
		case 1:
			r.Type = unix.RTN_BLACKHOLE
		case 2:
			for i, name := range []string{"pod1", []string{"pod2", harness.Uplink}[rng.IntN(2)]} {
				r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: index(name), Gw: []byte{0: 0xfe, 1: 0x80, 15: byte(i + 1)}})
			}
		default:
			r.LinkIndex = index([]string{"pod1", "pod2"}[rng.IntN(2)])
		}
		// Whatever is refused, since it is there or is not, changes nothing.
		_ = []func(*netlink.Route) error{n.Node.Link.RouteAdd, n.Node.Link.RouteReplace, n.Node.Link.RouteDel, n.Node.Link.RouteAppend}[rng.IntN(4)](r)
	}
	for round := range rounds {
		if round%2 == 1 {
			d.Signal(syscall.SIGSTOP)
		}
		for range changes {
			change()
		}
		if round == rounds/2 { // every route through it goes
			harness.Must(t, n.Node.Down("pod2"))
			harness.Must(t, n.Node.Up("pod2"))
		}
		d.Signal(syscall.SIGCONT)
		for i := range addresses {
			switch where := leads(t, n, target(i), behind); {
			case where == "behind" && !asSpecific(t, n, target(i)):
				a.WantAnswer(target(i))
			case where != "both":
				a.WantSilence(target(i))
			}
		}
	}
}

// leads asks the kernel where packets for an address go: "behind", "away", or
// "both" where that depends on the packet.
func leads(t *testing.T, n *harness.Network, target netip.Addr, behind map[int]bool) string {
	t.Helper()
	seen := make(map[string]bool)
	for i := range 16 { // other flows take other next hops
		src := netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 5: 1, 15: byte(0x80 + i)})
		routes, err := n.Node.Link.RouteGetWithOptions(target.AsSlice(), &netlink.RouteGetOptions{Iif: harness.Uplink, SrcAddr: src.AsSlice()})
		switch {
		case err != nil || len(routes) == 0 || routes[0].Type != unix.RTN_UNICAST || !behind[routes[0].LinkIndex]:
			seen["away"] = true
		default:
			seen["behind"] = true
		}
	}
	if len(seen) > 1 {
		return "both"
	}
	for where := range seen {
		return where
	}
	return ""
}

// asSpecific reports whether the uplink has a prefix on-link that covers an address and is
// as specific as the route that the kernel takes.
func asSpecific(t *testing.T, n *harness.Network, target netip.Addr) bool {
	t.Helper()
	taken, err := n.Node.Link.RouteGetWithOptions(target.AsSlice(), &netlink.RouteGetOptions{Iif: harness.Uplink, FIBMatch: true})
	harness.Must(t, err)
	length, _ := taken[0].Dst.Mask.Size()
	uplink, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	routes, err := n.Node.Link.RouteList(uplink, netlink.FAMILY_V6)
	harness.Must(t, err)
	for _, r := range routes {
		if r.Dst == nil || r.Gw != nil || len(r.MultiPath) > 0 || !r.Dst.Contains(target.AsSlice()) {
			continue
		}
		if onLink, _ := r.Dst.Mask.Size(); onLink >= length && onLink < 128 {
			return true
		}
	}
	return false
}
