// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// UplinkState is what the host is set up with that may keep an uplink from
// answering.
type UplinkState struct {
	// AcceptRA is the setting of that name.
	AcceptRA string
	// Proxied are the kernel's own proxy entries on the uplink, and ProxyNDP is true
	// where it answers for them (net.ipv6.conf.*.proxy_ndp).
	Proxied  []netip.Addr
	ProxyNDP bool
	// Routers are the uplink's neighbors that say that they are routers.
	Routers []netip.Addr
	// Ingress names what handles frames before a packet socket gets them, ""
	// when nothing was found.
	Ingress string
	// Cilium is true where Cilium's agent has set the host up, and CiliumSeen where
	// its program is what Ingress names.
	Cilium, CiliumSeen bool
	// Tunnels are the network plugin's devices to other nodes.
	Tunnels []Tunnel
	// XDP is true when an XDP program is attached, which sees frames first.
	XDP bool
	// Snooping is the bridge that may keep multicast frames from the uplink.
	Snooping Snooping
	// Suppressing are the ports of the uplink's bridge that have neigh_suppress.
	Suppressing []string
	// Unreachables counts ICMPv6 Destination Unreachable messages.
	Unreachables Unreachables
}

// Unreachables is how many ICMPv6 Destination Unreachable messages the kernel has
// sent out of a device since it has the device, or its IPv6.
type Unreachables struct {
	// Index is the device's, 0 when the kernel does not tell.
	Index int
	Sent  uint64
}

// ReadUplink reads the state of a link. What cannot be read because a privilege or
// a feature of the kernel is missing is left out.
func ReadUplink(l rules.Link) UplinkState {
	name := filepath.Base(l.Name)
	s := UplinkState{
		AcceptRA:     setting("/proc/sys/net/ipv6/conf", name, "accept_ra"),
		Proxied:      proxied(l.Index),
		ProxyNDP:     isSet("all", "proxy_ndp") || isSet(name, "proxy_ndp"),
		Routers:      routers(l.Index),
		Unreachables: readUnreachables(name),
	}
	link, err := netlink.LinkByIndex(l.Index)
	if err != nil {
		return s
	}
	s.Snooping, s.Suppressing = readSnooping(link), suppressing(link, s.Routers)
	filters := ingressFilters(link)
	if slices.ContainsFunc(filters, isForeign) {
		s.Ingress = "filters of tc look at frames"
	}
	s.Cilium, s.CiliumSeen = hasCilium(filters)
	s.Tunnels = readTunnels()
	s.XDP = link.Attrs().Xdp != nil && link.Attrs().Xdp.Attached
	return s
}

func setting(parts ...string) string {
	b, err := os.ReadFile(filepath.Join(parts...)) //nolint:gosec // a setting of an interface
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func proxied(index int) []netip.Addr {
	list, err := again(func() ([]netlink.Neigh, error) { return netlink.NeighProxyList(index, netlink.FAMILY_V6) })
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for i := range list {
		if a, ok := netip.AddrFromSlice(list[i].IP); ok {
			out = append(out, a)
		}
	}
	return out
}

// routers returns the neighbors on a device that advertise themselves as routers
// (RFC 4861 §4.4, the R flag).
func routers(index int) []netip.Addr {
	list, err := again(func() ([]netlink.Neigh, error) { return netlink.NeighList(index, netlink.FAMILY_V6) })
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for i := range list {
		if a, ok := netip.AddrFromSlice(list[i].IP); ok && list[i].Flags&netlink.NTF_ROUTER != 0 {
			out = append(out, a)
		}
	}
	return out
}

// ownFilter begins the names of this daemon's own filters of tc.
const ownFilter = "ndproxyd"

// isForeign reports whether a filter is another program's.
func isForeign(f netlink.Filter) bool {
	bpf, ok := f.(*netlink.BpfFilter)
	return !ok || !strings.HasPrefix(bpf.Name, ownFilter)
}

// ingressFilters returns the filters of tc for the frames that arrive on a link.
func ingressFilters(link netlink.Link) []netlink.Filter {
	qdiscs, err := netlink.QdiscList(link)
	if err != nil {
		return nil
	}
	for _, q := range qdiscs {
		if kind := q.Type(); kind != "clsact" && kind != "ingress" {
			continue
		}
		for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.MakeHandle(0xffff, 0)} {
			if filters, err := netlink.FilterList(link, parent); err == nil && len(filters) > 0 {
				return filters
			}
		}
	}
	return nil
}

// readUnreachables reads the counter of an interface, at the cost of one small
// file. It is zero when there is no such interface, or when it has no IPv6.
func readUnreachables(name string) Unreachables {
	return parseUnreachables(setting("/proc/net/dev_snmp6", filepath.Base(name)))
}

// parseUnreachables reads a file of /proc/net/dev_snmp6.
func parseUnreachables(text string) (u Unreachables) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		switch f[0] {
		case "ifIndex":
			u.Index, _ = strconv.Atoi(f[1])
		case "Icmp6OutDestUnreachs":
			u.Sent, _ = strconv.ParseUint(f[1], 10, 64)
		}
	}
	return u
}
