// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Snooping is a bridge of this network namespace that multicast frames for an
// uplink pass, and that keeps some of them back.
type Snooping struct {
	// Bridge is its name, "" where no bridge snoops MLD. Querier is true where an
	// MLD querier is known to it: without one it forwards everything.
	Bridge  string
	Querier bool
	// Port is the bridge's port that leads to the uplink, "" where the uplink is
	// the bridge itself, or a device on top of it.
	Port string
	// Router is true where that port, or the bridge itself, counts as a multicast
	// router's, so that it gets all frames.
	Router bool
	// AllMulticast is true where the bridge gives its own device all multicast
	// frames when that asks for them: since Linux 6.16.
	AllMulticast bool
}

// Attributes of linux/if_link.h and linux/if_bridge.h that golang.org/x/sys has no
// names for.
const (
	iflaBrMcastRouter       = 22 // IFLA_BR_MCAST_ROUTER
	iflaBrMcastSnooping     = 23 // IFLA_BR_MCAST_SNOOPING
	iflaBrMcastQuerierState = 47 // IFLA_BR_MCAST_QUERIER_STATE
	querierIPv6Address      = 5  // BRIDGE_QUERIER_IPV6_ADDRESS
	iflaBrportMcastRouter   = 25 // IFLA_BRPORT_MULTICAST_ROUTER
	multicastRouter         = 2  // MDB_RTR_TYPE_PERM
)

// readSnooping looks for a bridge that keeps multicast frames from an uplink.
func readSnooping(link netlink.Link) Snooping {
	link = lowest(link)
	if link.Type() == "bridge" {
		s, router := bridgeOf(link.Attrs().Index)
		if s.Bridge == "" {
			return Snooping{}
		}
		s.Router, s.AllMulticast = router == multicastRouter, atLeast(6, 16)
		return s
	}
	a := link.Attrs()
	if k := link.Type(); k != "veth" && k != "netkit" || a.ParentIndex == 0 || a.NetNsID >= 0 {
		return Snooping{}
	}
	peer, err := netlink.LinkByIndex(a.ParentIndex)
	if err != nil || peer.Attrs().MasterIndex == 0 {
		return Snooping{}
	}
	s, _ := bridgeOf(peer.Attrs().MasterIndex)
	if s.Bridge == "" {
		return Snooping{}
	}
	s.Port, s.Router = peer.Attrs().Name, portOf(peer.Attrs().Index)[iflaBrportMcastRouter] == multicastRouter
	return s
}

// lowest follows VLANs and macvlans down to the device that they are on.
func lowest(link netlink.Link) netlink.Link {
	for range maxLower {
		a := link.Attrs()
		if kind := link.Type(); kind != "vlan" && kind != "macvlan" || a.ParentIndex == 0 || a.NetNsID >= 0 {
			break
		}
		below, err := netlink.LinkByIndex(a.ParentIndex)
		if err != nil {
			break
		}
		link = below
	}
	return link
}

// maxLower bounds how far devices are followed down.
const maxLower = 8

// bridgeOf reads whether the device of that index is a bridge that snoops, and its
// setting multicast_router.
func bridgeOf(index int) (s Snooping, router byte) {
	attrs := linkAttributes(index)
	info := attributeMap(attrs[unix.IFLA_LINKINFO])
	if strings.TrimRight(string(info[unix.IFLA_INFO_KIND]), "\x00") != "bridge" {
		return Snooping{}, 0
	}
	data := attributeMap(info[unix.IFLA_INFO_DATA])
	if octet(data[iflaBrMcastSnooping]) == 0 {
		return Snooping{}, 0
	}
	s.Bridge = strings.TrimRight(string(attrs[unix.IFLA_IFNAME]), "\x00")
	_, s.Querier = attributeMap(data[iflaBrMcastQuerierState])[querierIPv6Address]
	return s, octet(data[iflaBrMcastRouter])
}

// portOf returns the settings of a bridge's port that are one octet long.
func portOf(index int) map[uint16]byte {
	out := make(map[uint16]byte)
	info := attributeMap(linkAttributes(index)[unix.IFLA_LINKINFO])
	for kind, v := range attributeMap(info[unix.IFLA_INFO_SLAVE_DATA]) {
		out[kind] = octet(v)
	}
	return out
}

func octet(b []byte) byte {
	if len(b) != 1 {
		return 0
	}
	return b[0]
}

// linkAttributes returns what rtnetlink says of a link, nothing on an error.
func linkAttributes(index int) map[uint16][]byte {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index) //nolint:gosec // the kernel's int
	request.AddData(msg)
	messages, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil || len(messages) == 0 || len(messages[0]) < unix.SizeofIfInfomsg {
		return nil
	}
	return attributeMap(messages[0][unix.SizeofIfInfomsg:])
}

func attributeMap(b []byte) map[uint16][]byte {
	out := make(map[uint16][]byte)
	for kind, v := range attributes(b) {
		out[kind] = v
	}
	return out
}

// atLeast reports whether the kernel is of that version or later.
func atLeast(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	return versionAtLeast(unix.ByteSliceToString(u.Release[:]), major, minor)
}

func versionAtLeast(release string, major, minor int) bool {
	parts := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		return false
	}
	a, _ := strconv.Atoi(parts[0])
	b, _ := strconv.Atoi(parts[1])
	return a > major || a == major && b >= minor
}

// suppressing returns the ports of an uplink's bridge that have neigh_suppress, so
// that neither unsolicited advertisements nor duplicate address detection leave by
// them. Where the way to the routers is known, only its port counts.
func suppressing(link netlink.Link, routers []netip.Addr) []string {
	bridge := lowest(link)
	if bridge.Type() != "bridge" {
		return nil
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil
	}
	towards := portsTo(link.Attrs().Index, bridge.Attrs().Index, routers)
	var out []string
	for _, l := range links {
		a := l.Attrs()
		if a.MasterIndex != bridge.Attrs().Index || len(towards) > 0 && !slices.Contains(towards, a.Index) {
			continue
		}
		if portOf(a.Index)[unix.IFLA_BRPORT_NEIGH_SUPPRESS] != 0 {
			out = append(out, a.Name)
		}
	}
	return out
}

// portsTo returns the ports by which a bridge reaches routers, as far as they are
// known as neighbors.
func portsTo(uplink, bridge int, routers []netip.Addr) []int {
	neighbors, err := netlink.NeighList(uplink, netlink.FAMILY_V6)
	if err != nil {
		return nil
	}
	stations, err := netlink.NeighList(0, unix.AF_BRIDGE)
	if err != nil {
		return nil
	}
	var out []int
	for _, n := range neighbors {
		a, _ := netip.AddrFromSlice(n.IP)
		if !slices.Contains(routers, a) || len(n.HardwareAddr) == 0 {
			continue
		}
		for _, s := range stations {
			if s.MasterIndex == bridge && bytes.Equal(s.HardwareAddr, n.HardwareAddr) {
				out = append(out, s.LinkIndex)
			}
		}
	}
	return out
}
