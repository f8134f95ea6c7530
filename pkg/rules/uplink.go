// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The bounds of [Uplink.Reannounce].
const (
	// MinReannounce is as long as an address rests between two series of
	// announcements.
	MinReannounce = 10 * time.Second
	// MaxReannounce is longer than switches and routers remember an address.
	MaxReannounce = 24 * time.Hour
)

// Uplink is what the operator chooses for one interface that solicitations
// arrive on. Its zero values are the defaults.
type Uplink struct {
	// Interface is the name of the device.
	Interface string
	// Source is the source address of our advertisements.
	Source SourcePolicy
	// Membership is how multicast solicitations are made to reach us.
	Membership MembershipMode
	// Router is the R flag of our advertisements.
	Router RouterFlag
	// Gratuitous is who hears when an address appears behind us.
	Gratuitous GratuitousMode
	// Reannounce is how often addresses that are announced are announced again; 0
	// for never.
	Reannounce time.Duration
	// Prime is how the router is told, too, for links that keep unsolicited
	// advertisements from it.
	Prime PrimeMode
	// ConsumeUnicast keeps the kernel from handling unicast solicitations for
	// addresses of the rules: it would send the asker an ICMPv6 error, or
	// forward them.
	ConsumeUnicast bool
	// DropLoops keeps the kernel from sending packets for addresses of static
	// and services rules back out of the uplink that they came in on.
	DropLoops bool
	// Early puts the packet socket before the hooks of tc and nftables.
	Early bool
	// RequireOnLinkSource ignores askers whose address is in none of the
	// uplink's on-link prefixes.
	RequireOnLinkSource bool
	// IgnoreSources are askers that get no answer.
	IgnoreSources []Asker
	// Presence is the address that shows that the daemon is alive, see
	// [Presence]; invalid where nobody asks for it. The daemon sets it.
	Presence netip.Addr
	// Witnessed are the addresses that show which daemons on other nodes this one hears,
	// see [Witness]. The daemon sets them.
	Witnessed []netip.Addr
	// FastPath is what answers before the packet socket, where it can.
	FastPath FastPathMode
	// FastPathHold is how long a program in the kernel answers without a sign of life of
	// the daemon; 0 for [DefaultFastPathHold].
	FastPathHold time.Duration
	// LimitPerAsker is how many answers a second one asker's MAC address gets,
	// and how many at once; 0 is no limit.
	LimitPerAsker int
}

// The bounds of [Uplink.FastPathHold], and its default.
const (
	// MinFastPathHold is longer than a daemon takes between two signs of life.
	MinFastPathHold = time.Second
	// DefaultFastPathHold is longer than a service manager or a kubelet takes to
	// start a daemon anew.
	DefaultFastPathHold = time.Minute
	// MaxFastPathHold bounds how long answers are made from what nobody follows any more.
	MaxFastPathHold = time.Hour
)

// Hold returns how long a program in the kernel answers without a sign of life.
func (u *Uplink) Hold() time.Duration {
	if u.FastPathHold == 0 {
		return DefaultFastPathHold
	}
	return u.FastPathHold
}

// Asker names stations by their IPv6 addresses, or one by its MAC address.
type Asker struct {
	// Prefix is invalid where MAC counts.
	Prefix netip.Prefix
	MAC    [6]byte
}

// ParseAsker reads a prefix, an address or a MAC address.
func ParseAsker(s string) (Asker, error) {
	if mac, err := net.ParseMAC(s); err == nil && len(mac) == 6 {
		return Asker{MAC: [6]byte(mac)}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Is6() && a.Zone() == "" {
		return Asker{Prefix: netip.PrefixFrom(a, 128)}, nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || !p.Addr().Is6():
		return Asker{}, fmt.Errorf("%q is neither an IPv6 prefix nor a MAC address", s)
	case p != p.Masked():
		return Asker{}, fmt.Errorf("%q has host bits set (did you mean %q?)", s, p.Masked())
	}
	return Asker{Prefix: p}, nil
}

// Matches reports whether it is the asker with that address or MAC address.
func (a Asker) Matches(source netip.Addr, mac [6]byte) bool {
	if a.Prefix.IsValid() {
		return a.Prefix.Contains(source)
	}
	return a.MAC == mac
}

// SourcePolicy chooses the IPv6 source address of our advertisements.
type SourcePolicy uint8

// The source policies. RFC 4861 §4.4 wants "an address assigned to the sending
// interface", which SourceTarget deliberately is not.
const (
	// SourceAuto takes the uplink's address in the asker's prefix for a global
	// asker, and the link-local address otherwise.
	SourceAuto SourcePolicy = iota
	// SourceLinkLocal always takes the link-local address.
	SourceLinkLocal
	// SourceTarget takes the target, for links that filter link-local sources.
	SourceTarget
)

// String returns the policy's name in configuration files.
func (p SourcePolicy) String() string { return nameOf(p, SourcePolicyNames()) }

// SourcePolicyNames returns the names of the policies in the order of their
// values.
func SourcePolicyNames() []string { return []string{"auto", "link-local", "target"} }

// RouterFlag chooses the R flag of our advertisements (RFC 4861 §4.4).
type RouterFlag uint8

// The settings of the R flag.
const (
	// RouterAuto follows the interface's forwarding setting (RFC 4861 §7.2.4).
	RouterAuto RouterFlag = iota
	// RouterTrue always sets it.
	RouterTrue
	// RouterFalse never sets it.
	RouterFalse
)

// String returns the setting's name in configuration files.
func (f RouterFlag) String() string { return nameOf(f, RouterFlagNames()) }

// RouterFlagNames returns the names of the settings in the order of their
// values.
func RouterFlagNames() []string { return []string{"auto", "true", "false"} }

// MembershipMode chooses how multicast solicitations are made to reach us.
type MembershipMode uint8

// The membership modes.
const (
	// MembershipAuto joins the groups of narrow prefixes and turns on
	// all-multicast for wide ones.
	MembershipAuto MembershipMode = iota
	// MembershipJoin joins groups only, by real MLD.
	MembershipJoin
	// MembershipAllMulti turns on all-multicast only.
	MembershipAllMulti
	// MembershipNone does nothing: something else receives for us.
	MembershipNone
)

// String returns the mode's name in configuration files.
func (m MembershipMode) String() string { return nameOf(m, MembershipModeNames()) }

// MembershipModeNames returns the names of the modes in the order of their
// values.
func MembershipModeNames() []string { return []string{"auto", "join", "allmulti", "none"} }

// GratuitousMode chooses the destinations of unsolicited advertisements.
type GratuitousMode uint8

// The destinations.
const (
	// GratuitousNodes are all nodes (RFC 4861 §7.2.6).
	GratuitousNodes GratuitousMode = iota
	// GratuitousRouters are all nodes, and by a copy all routers, which may
	// make an entry of it (RFC 9131 §4.1).
	GratuitousRouters
	// GratuitousNone turns them off.
	GratuitousNone
)

// String returns the mode's name in configuration files.
func (m GratuitousMode) String() string { return nameOf(m, GratuitousModeNames()) }

// GratuitousModeNames returns the names of the modes in the order of their
// values.
func GratuitousModeNames() []string { return []string{"nodes", "routers", "none"} }

// FastPathMode chooses whether a program in the kernel answers, and where it is attached.
// The packet socket answers what the program leaves to it, and everything where there is
// no program.
type FastPathMode uint8

// The modes.
const (
	// FastPathAuto is tc where the daemon may load programs and pin them.
	FastPathAuto FastPathMode = iota
	// FastPathOff leaves everything to the packet socket.
	FastPathOff
	// FastPathTC attaches the program at tc ingress.
	FastPathTC
	// FastPathXDP attaches it in the device's driver.
	FastPathXDP
	// FastPathXDPGeneric attaches it by XDP behind any driver.
	FastPathXDPGeneric
)

// String returns the mode's name in configuration files.
func (m FastPathMode) String() string { return nameOf(m, FastPathModeNames()) }

// FastPathModeNames returns the names of the modes in the order of their values.
func FastPathModeNames() []string { return []string{"auto", "off", "tc", "xdp", "xdp-generic"} }

// PrimeMode chooses what is sent to the router in the name of an address that
// appears behind us.
type PrimeMode uint8

// The ways of priming.
const (
	// PrimeNone sends nothing.
	PrimeNone PrimeMode = iota
	// PrimeSolicit solicits the router from the address, so that the router
	// makes an entry for the asker (RFC 4861 §7.2.3).
	PrimeSolicit
	// PrimeDAD sends what duplicate address detection would (RFC 4862 §5.4.2),
	// for switches that learn addresses from that alone.
	PrimeDAD
)

// String returns the mode's name in configuration files.
func (m PrimeMode) String() string { return nameOf(m, PrimeModeNames()) }

// PrimeModeNames returns the names of the modes in the order of their values.
func PrimeModeNames() []string { return []string{"none", "solicit", "dad"} }

func nameOf[T ~uint8](v T, names []string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%T(%d)", v, uint8(v))
}

// ParseName returns the value whose name it is, by the list of names that goes
// with the type. The error lists them.
func ParseName[T ~uint8](name string, names []string) (T, error) {
	i := slices.Index(names, name)
	if i < 0 {
		return 0, fmt.Errorf("%q is not one of %s", name, strings.Join(names, ", "))
	}
	return T(i), nil
}
