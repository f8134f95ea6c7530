// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"iter"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/firewall"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Evidence is what the kernel's routes say.
type Evidence interface {
	Within(netip.Prefix) iter.Seq[rules.Entry]
	WhyNotDevice(index int32) string
	SharesLink(uplink string, index int32) (same, own bool)
}

// ReadWay reads what the host does with packets that arrive on an uplink for
// addresses of the rules that hold there. What takes a privilege to read, and is
// refused, is left out. The caller calls the function that it returns when the Way
// is no longer used.
func ReadWay(judge Evidence, routes *hostwatch.Routes, link rules.Link, holding []rules.Rule) (Way, func()) {
	w := Way{Outside: routes.Outside(link.Index)}
	w.Destinations = destinations(judge.Within, holding, func(index int32) firewall.Device {
		return firewall.Device{Name: "", Index: int(index)}
	})
	forwards := make(map[string]bool)
	for i := range w.Destinations {
		d := &w.Destinations[i]
		if d.Device.Index == 0 {
			continue
		}
		name := routes.Name(int32(d.Device.Index)) //nolint:gosec // the kernel's int
		d.Device.Name = name
		if _, ok := forwards[name]; !ok {
			forwards[name] = hostwatch.Forwards(name)
		}
		d.Forwards = forwards[name]
	}
	w.Devices = devicesBehind(judge, link)
	w.Beside = beside(judge.Within, holding, func(index int32) bool {
		same, own := judge.SharesLink(link.Name, index)
		return same && !own
	})
	for i := range w.Beside {
		w.Beside[i].Device.Name = routes.Name(int32(w.Beside[i].Device.Index)) //nolint:gosec // the kernel's int
	}
	w.Missing = absent(holding, routes.Index)
	if !mayAdminister() {
		return w, func() {}
	}
	w.IPsec, w.IPsecKnown = ipsec()
	set, err := firewall.Read()
	if err != nil {
		return w, func() {}
	}
	w.Firewall = set
	return w, func() { _ = set.Close() }
}

// devicesBehind returns the devices that lead behind the node and are up, without
// the ports of bridges and bonds.
func devicesBehind(judge Evidence, uplink rules.Link) []Device {
	links, err := netlink.LinkList()
	if err != nil {
		return nil
	}
	addresses := make(map[int][]netip.Prefix)
	list, _ := netlink.AddrList(nil, netlink.FAMILY_V6) // without them a device is harder to guess
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		if ok && !ip.IsLinkLocalUnicast() {
			addresses[a.LinkIndex] = append(addresses[a.LinkIndex], netip.PrefixFrom(ip, ones))
		}
	}
	var out []Device
	for _, l := range links {
		a := l.Attrs()
		if a.Index == uplink.Index || a.MasterIndex != 0 || l.Type() == "dummy" || judge.WhyNotDevice(int32(a.Index)) != "" { //nolint:gosec // the kernel's int
			continue
		}
		out = append(out, Device{Name: a.Name, Kind: l.Type(), Neighbors: a.EncapType == "ether" && a.RawFlags&unix.IFF_NOARP == 0, Addresses: addresses[a.Index]})
	}
	return out
}

// ipsec returns the prefixes that policies of IPsec send through a security
// association, whatever the source. It takes CAP_NET_ADMIN.
func ipsec() ([]netip.Prefix, bool) {
	if !listens(unix.NETLINK_XFRM) {
		return nil, true
	}
	policies, err := netlink.XfrmPolicyList(netlink.FAMILY_V6)
	if err != nil {
		return nil, false
	}
	var out []netip.Prefix
	for _, p := range policies {
		if p.Dir != netlink.XFRM_DIR_OUT || p.Action != netlink.XFRM_POLICY_ALLOW || len(p.Tmpls) == 0 || p.Dst == nil {
			continue
		}
		if p.Src != nil {
			if ones, _ := p.Src.Mask.Size(); ones > 0 {
				continue
			}
		}
		a, ok := netip.AddrFromSlice(p.Dst.IP)
		ones, _ := p.Dst.Mask.Size()
		if ok && a.Is6() {
			out = append(out, netip.PrefixFrom(a, ones))
		}
	}
	return out, true
}
