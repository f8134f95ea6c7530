// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Case is one row of the table.
type Case struct {
	// ID names the row: a number of the 64-frame matrix, or the requirement
	// of docs/conformance.md that it belongs to.
	ID   string
	Name string
	// Frame is what the node receives.
	Frame Frame
	// Want is the reason, ndp.Answered with Answer.
	Want   ndp.Reason
	Answer Answer
	// Filtered is true when the socket's filter drops the frame in the kernel,
	// so that no counter moves.
	Filtered bool
	// Kernel says why the kernel's own proxy does otherwise; "" where it
	// agrees with Want.
	Kernel string
	// KernelAnswers is true where the node's kernel answers by itself.
	KernelAnswers bool
}

// Answer is what matters of an advertisement beyond what holds for all.
type Answer struct {
	EtherDst MAC
	Source   netip.Addr
	Dest     netip.Addr
	// Solicited is the S flag.
	Solicited bool
}

// The usual answers: to the router's global address, and to all nodes.
var (
	toRouter   = Answer{EtherDst: RouterMAC, Source: NodeAddr, Dest: RouterAddr, Solicited: true}
	toAllNodes = Answer{EtherDst: groupMAC(allNodes), Source: NodeLinkLocal, Dest: allNodes}
)

// to is the usual answer to another source.
func to(source, dest netip.Addr) Answer {
	return Answer{EtherDst: RouterMAC, Source: source, Dest: dest, Solicited: true}
}

// toMAC is the usual answer to another link-layer address.
func toMAC(m MAC) Answer {
	a := toRouter
	a.EtherDst = m
	return a
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// unicast sends the solicitation to the node's MAC and to one address.
func unicast(dest netip.Addr) func(*Frame) {
	return func(f *Frame) { f.EtherDst, f.Dest = NodeMAC, dest }
}

// dad makes the solicitation one of duplicate address detection.
func dad(f *Frame) { f.Source, f.Options = unspecified, nil }

func without(f *Frame)                     { f.Options = nil }
func options(parts ...[]byte) func(*Frame) { return func(f *Frame) { f.Options = join(parts...) } }
func source(s string) func(*Frame)         { return func(f *Frame) { f.Source = addr(s) } }
func extension(next byte, b ...byte) func(*Frame) {
	return func(f *Frame) { f.NextHeader, f.Extension = next, b }
}

// strict says that the kernel is laxer than this project, and why we are not.
const (
	kernelLaxLinkAddress = "answers to a group or zero address, which reaches more than the asker"
	kernelLaxHeaders     = "takes extension headers, which no known stack sends with neighbor discovery"
	kernelLaxSource      = "does not look at the source, which can be no other station's here"
	kernelNoPolicy       = "has no such setting"
)

// Cases returns the table.
func Cases() []Case {
	cases := append(matrix(), requirements()...)
	return cases
}

// matrix is the 64-frame matrix.
func matrix() []Case {
	return []Case{
		{ID: "01", Name: "multicast with source link-layer address", Frame: pod(), Answer: toRouter},
		{ID: "02", Name: "hop limit 254", Frame: pod(func(f *Frame) { f.HopLimit = 254 }), Want: ndp.HopLimit, Filtered: true},
		{ID: "03", Name: "hop limit 64", Frame: pod(func(f *Frame) { f.HopLimit = 64 }), Want: ndp.HopLimit, Filtered: true},
		{ID: "04", Name: "code 1", Frame: pod(func(f *Frame) { f.Code = 1 }), Want: ndp.Code},
		{ID: "05", Name: "bad checksum", Frame: pod(func(f *Frame) { f.Corrupt = true }), Want: ndp.Checksum},
		{ID: "06", Name: "message of 20 octets", Frame: pod(without, func(f *Frame) { f.Cut = 4 }), Want: ndp.MessageLength},
		{ID: "07", Name: "message of 8 octets", Frame: pod(without, func(f *Frame) { f.Cut = 16 }), Want: ndp.MessageLength, Filtered: true},
		{ID: "08", Name: "payload length ends before the option", Frame: endsBeforeOption(), Answer: toRouter},
		{ID: "09", Name: "option of length 0", Frame: pod(options([]byte{1, 0, 2, 0, 0, 0, 0, 1})), Want: ndp.OptionLength},
		{ID: "10", Name: "option overruns the message", Frame: pod(options([]byte{1, 2, 2, 0, 0, 0, 0, 1})), Want: ndp.OptionLength},
		{ID: "11", Name: "two stray octets behind the option", Frame: pod(options(sourceLink(RouterMAC), []byte{0, 0})), Want: ndp.OptionLength},
		{ID: "12", Name: "target multicast", Frame: solicitation(addr("ff02::1:ff00:5")), Want: ndp.TargetScope, Filtered: true},
		{ID: "13", Name: "duplicate address detection", Frame: pod(dad), Answer: toAllNodes},
		{ID: "14", Name: "duplicate address detection with link-layer address", Frame: pod(func(f *Frame) { f.Source = unspecified }), Want: ndp.DADLinkAddress},
		{ID: "15", Name: "duplicate address detection to the target itself", Frame: pod(dad, unicast(Pod)), Want: ndp.Destination},
		{ID: "16", Name: "duplicate address detection to all nodes", Frame: pod(dad, toGroup(allNodes)), Want: ndp.Destination},
		{ID: "17", Name: "duplicate address detection with nonce", Frame: pod(dad, options(option(14, 1, 1, 2, 3, 4, 5, 6))), Answer: toAllNodes},
		{ID: "18", Name: "unicast with source link-layer address", Frame: pod(unicast(Pod)), Answer: toRouter},
		{ID: "19", Name: "unicast without source link-layer address", Frame: pod(unicast(Pod), without), Answer: toRouter},
		{ID: "20", Name: "multicast without source link-layer address", Frame: pod(without), Answer: toRouter},
		{ID: "21", Name: "to all nodes", Frame: pod(toGroup(allNodes)), Answer: toRouter},
		{ID: "22", Name: "to the group of another address", Frame: pod(toGroup(addr("ff02::1:ff00:99"))), Want: ndp.Destination},
		{ID: "23", Name: "group in IPv6, our MAC in Ethernet", Frame: pod(func(f *Frame) { f.EtherDst = NodeMAC }), Answer: toRouter},
		{ID: "24", Name: "to another station's MAC", Frame: pod(func(f *Frame) { f.EtherDst = OtherMAC }), Want: ndp.NotForUs, Filtered: true},
		{ID: "25", Name: "to the broadcast MAC", Frame: pod(func(f *Frame) { f.EtherDst = MAC{255, 255, 255, 255, 255, 255} }), Answer: toRouter},
		{ID: "26", Name: "tag of VLAN 100", Frame: pod(tagged(Tag{0x8100, 100})), Want: ndp.VLAN, Filtered: true},
		{ID: "27", Name: "priority tag", Frame: pod(tagged(Tag{0x8100, 0})), Answer: toRouter},
		{ID: "28", Name: "802.1ad and 802.1Q tag", Frame: pod(tagged(Tag{0x88a8, 200}, Tag{0x8100, 100})), Want: ndp.VLAN, Filtered: true},
		{ID: "29", Name: "hop-by-hop header", Frame: pod(extension(0, 58, 0, 1, 4, 0, 0, 0, 0)), Want: ndp.ExtensionHeader, Filtered: true, Kernel: kernelLaxHeaders},
		{ID: "30", Name: "destination options header", Frame: pod(extension(60, 58, 0, 1, 4, 0, 0, 0, 0)), Want: ndp.ExtensionHeader, Filtered: true, Kernel: kernelLaxHeaders},
		{ID: "31", Name: "atomic fragment", Frame: pod(extension(44, 58, 0, 0, 0, 1, 2, 3, 4)), Want: ndp.Fragment, Filtered: true},
		{ID: "32", Name: "first fragment of more", Frame: pod(extension(44, 58, 0, 0, 1, 1, 2, 3, 4)), Want: ndp.Fragment, Filtered: true},
		{ID: "33", Name: "routing header of type 0", Frame: pod(extension(43, join([]byte{58, 2, 0, 0, 0, 0, 0, 0}, Pod.AsSlice())...)), Want: ndp.ExtensionHeader, Filtered: true},
		{ID: "34", Name: "60 octets of Ethernet padding", Frame: pod(func(f *Frame) { f.Trailer = 60 }), Answer: toRouter},
		{ID: "35", Name: "1310 octets of unknown options", Frame: pod(options(sourceLink(RouterMAC), option(253, 153))), Answer: toRouter},
		{ID: "36", Name: "payload longer than the frame", Frame: pod(func(f *Frame) { f.PayloadLen = 200 }), Want: ndp.PayloadLength},
		{ID: "37", Name: "payload length 0", Frame: pod(func(f *Frame) { f.PayloadLen = 0 }), Want: ndp.PayloadLength},
		{ID: "38", Name: "reserved field set", Frame: pod(func(f *Frame) { f.Reserved = 0xffffffff }), Answer: toRouter},
		{ID: "39", Name: "unknown option first", Frame: pod(options(option(253, 1), sourceLink(RouterMAC))), Answer: toRouter},
		{ID: "40", Name: "two source link-layer addresses", Frame: pod(options(sourceLink(OtherMAC), sourceLink(RouterMAC))), Answer: toMAC(OtherMAC)},
		{ID: "41", Name: "source link-layer address is not the Ethernet source", Frame: pod(options(sourceLink(OtherMAC))), Answer: toMAC(OtherMAC)},
		{ID: "42", Name: "source link-layer address is a group", Frame: pod(options(sourceLink(MAC{0x33, 0x33, 0, 0, 0, 1}))), Want: ndp.LinkAddress, Kernel: kernelLaxLinkAddress},
		{ID: "43", Name: "source link-layer address is zero", Frame: pod(options(sourceLink(MAC{}))), Want: ndp.LinkAddress, Kernel: kernelLaxLinkAddress},
		{ID: "44", Name: "source link-layer address of two units", Frame: pod(options(option(1, 2, RouterMAC[:]...))), Want: ndp.LinkAddress},
		{ID: "45", Name: "target link-layer address first", Frame: pod(options(option(2, 1, OtherMAC[:]...), sourceLink(RouterMAC))), Answer: toRouter},
		{ID: "46", Name: "source multicast", Frame: pod(source("ff02::1")), Want: ndp.SourceScope},
		{ID: "47", Name: "source is the target", Frame: pod(func(f *Frame) { f.Source = Pod }), Want: ndp.Conflict, Kernel: kernelLaxSource},
		{ID: "48", Name: "source off-link", Frame: pod(source("2001:db8:ffff::1")), Answer: to(NodeLinkLocal, addr("2001:db8:ffff::1"))},
		{ID: "49", Name: "source link-local", Frame: pod(func(f *Frame) { f.Source = RouterLinkLocal }), Answer: to(NodeLinkLocal, RouterLinkLocal)},
		{ID: "50", Name: "source loopback", Frame: pod(source("::1")), Want: ndp.SourceScope},
		{ID: "51", Name: "source IPv4-mapped", Frame: pod(source("::ffff:192.0.2.1")), Want: ndp.SourceScope, Kernel: kernelLaxSource},
		{ID: "52", Name: "source is our address", Frame: pod(func(f *Frame) { f.Source = NodeAddr }), Want: ndp.OwnSource, Kernel: kernelLaxSource},
		{ID: "53", Name: "Ethernet source is our MAC", Frame: pod(func(f *Frame) { f.EtherSrc, f.Options = NodeMAC, sourceLink(NodeMAC) }), Want: ndp.OwnMAC, Kernel: kernelLaxSource},
		{ID: "54", Name: "target link-local", Frame: solicitation(addr("fe80::f:5")), Want: ndp.TargetScope, Filtered: true},
		{ID: "55", Name: "target unspecified", Frame: solicitation(unspecified), Want: ndp.TargetScope, Filtered: true},
		{ID: "56", Name: "target loopback", Frame: solicitation(addr("::1")), Want: ndp.TargetScope, Filtered: true},
		{ID: "57", Name: "target is the node's own address", Frame: solicitation(NodeAddr), Want: ndp.OwnTarget, Kernel: "answers for its own address, as it should", KernelAnswers: true},
		{ID: "58", Name: "target outside of the rules", Frame: solicitation(addr("2001:db8:1::abcd")), Want: ndp.NoRule, Filtered: true},
		{ID: "59", Name: "target is the prefix itself", Frame: solicitation(PodPrefix.Addr()), Answer: toRouter},
		{ID: "60", Name: "version 4", Frame: pod(func(f *Frame) { f.Version = 4 }), Want: ndp.NotIPv6},
		{ID: "61", Name: "advertisement", Frame: pod(func(f *Frame) { f.Type = 136 }), Want: ndp.NotSolicitation, Filtered: true},
		{ID: "62", Name: "target without a pod", Frame: solicitation(addr("2001:db8:1:0:f::6")), Answer: toRouter},
		{ID: "63", Name: "truncated 802.1Q header", Frame: pod(func(f *Frame) { f.EtherType, f.Capture = 0x8100, 16 }), Want: ndp.NotIPv6, Filtered: true},
		{ID: "64", Name: "runt of 38 octets", Frame: pod(func(f *Frame) { f.Capture = 38 }), Want: ndp.NotIPv6, Filtered: true},
	}
}

func toGroup(group netip.Addr) func(*Frame) {
	return func(f *Frame) { f.EtherDst, f.Dest = groupMAC(group), group }
}

func tagged(tags ...Tag) func(*Frame) { return func(f *Frame) { f.Tags = tags } }

// endsBeforeOption has a checksum over what the payload length covers, and the
// option behind it as if it were padding.
func endsBeforeOption() Frame {
	f := pod(without)
	f.Trailer = 8
	return f
}

// requirements are the rules of docs/conformance.md that the matrix lacks.
func requirements() []Case {
	return []Case{
		{ID: "M8", Name: "method route, and the kernel has no route", Frame: solicitation(addr("2001:db8:1:0:b::5")), Want: ndp.Silent(rules.NoRoute)},
		{ID: "M9", Name: "method file, and the file does not list the target", Frame: solicitation(addr("2001:db8:1:0:c::5")), Want: ndp.Silent(rules.NotListed)},
		{ID: "V1", Name: "hop limit 0", Frame: pod(func(f *Frame) { f.HopLimit = 0 }), Want: ndp.HopLimit, Filtered: true},
		{ID: "V5", Name: "message of 23 octets", Frame: pod(without, func(f *Frame) { f.Cut = 1 }), Want: ndp.MessageLength},
		{ID: "V7", Name: "24 octets and 18 of padding", Frame: pod(without, func(f *Frame) { f.Trailer = 18 }), Answer: toRouter},
		{ID: "V9", Name: "target IPv4-mapped", Frame: solicitation(addr("::ffff:192.0.2.1")), Want: ndp.TargetScope, Filtered: true},
		{ID: "V10", Name: "one stray octet", Frame: pod(options(sourceLink(RouterMAC), []byte{9})), Want: ndp.OptionLength},
		{ID: "V10b", Name: "unknown option of length 0", Frame: pod(options(sourceLink(RouterMAC), []byte{253, 0, 0, 0, 0, 0, 0, 0})), Want: ndp.OptionLength},
		{ID: "V15", Name: "Ethernet source is a group", Frame: pod(without, func(f *Frame) { f.EtherSrc = MAC{3, 0, 0, 0, 0, 1} }), Want: ndp.LinkAddress, Kernel: kernelLaxLinkAddress},
		{ID: "V18", Name: "source link-layer address is our MAC", Frame: pod(options(sourceLink(NodeMAC))), Want: ndp.OwnMAC, Kernel: kernelLaxSource},
		{ID: "V18b", Name: "source is our link-local address", Frame: pod(func(f *Frame) { f.Source = NodeLinkLocal }), Want: ndp.OwnSource, Kernel: kernelLaxSource},
		{ID: "V21", Name: "unicast to another address of the rule", Frame: pod(unicast(addr("2001:db8:1:0:f::6"))), Want: ndp.Destination, Kernel: "forwards the packet, which is not for it"},
		{ID: "V21b", Name: "unicast to the node's address", Frame: pod(unicast(NodeAddr)), Answer: toRouter},
		{ID: "V21c", Name: "to all routers", Frame: pod(toGroup(addr("ff02::2"))), Want: ndp.Destination, Kernel: "is a router, and does not compare the destination"},
		{ID: "V22", Name: "last fragment", Frame: pod(extension(44, 58, 0, 0, 8, 1, 2, 3, 4)), Want: ndp.Fragment, Filtered: true},
		{ID: "V23", Name: "authentication header", Frame: pod(extension(51, join([]byte{58, 4}, make([]byte, 22))...)), Want: ndp.ExtensionHeader, Filtered: true},
		{ID: "V25", Name: "secured neighbor discovery", Frame: pod(options(sourceLink(RouterMAC), option(11, 3), option(13, 2), option(14, 1), option(12, 4))), Answer: toRouter},
		{ID: "L1", Name: "our own frame coming back to another MAC", Frame: pod(func(f *Frame) { f.EtherSrc, f.EtherDst = NodeMAC, OtherMAC }), Want: ndp.NotForUs, Filtered: true},
		{ID: "M3", Name: "deny inside of static", Frame: solicitation(Denied), Want: ndp.Silent(rules.Denied)},
		{ID: "M3b", Name: "rule that leaves duplicate address detection alone", Frame: solicitation(addr("2001:db8:1:0:a::1"), dad), Want: ndp.DADIgnored, Kernel: kernelNoPolicy},
		{ID: "M3c", Name: "the same rule, asked for resolution", Frame: solicitation(addr("2001:db8:1:0:a::1")), Answer: toRouter},
		{ID: "G2", Name: "duplicate address detection of our own side", Frame: pod(dad, func(f *Frame) { f.EtherSrc = NodeMAC }), Want: ndp.OwnMAC, Kernel: kernelLaxSource},
		{ID: "N1", Name: "UDP", Frame: pod(func(f *Frame) { f.NextHeader = 17 }), Want: ndp.NotSolicitation, Filtered: true},
		{ID: "N2", Name: "router solicitation", Frame: pod(func(f *Frame) { f.Type = 133 }), Want: ndp.NotSolicitation, Filtered: true},
		{ID: "N3", Name: "payload one octet longer than the frame", Frame: pod(func(f *Frame) { f.PayloadLen = 33 }), Want: ndp.PayloadLength},
		{ID: "N4", Name: "frame of 14 octets", Frame: pod(func(f *Frame) { f.Capture = 14 }), Want: ndp.NotIPv6, Filtered: true},
	}
}

// Rules is what the node is configured with in all three runs.
func Rules() []rules.Rule {
	return []rules.Rule{
		{Prefix: PodPrefix, Method: rules.Static},
		{Prefix: single(Denied), Method: rules.Deny},
		{Prefix: netip.MustParsePrefix("2001:db8:1:0:a::/80"), Method: rules.Static, DAD: rules.DADIgnore},
		{Prefix: single(NodeAddr), Method: rules.Static},
		{Prefix: netip.MustParsePrefix("2001:db8:1:0:b::/80"), Method: rules.Route},
		{Prefix: netip.MustParsePrefix("2001:db8:1:0:c::/80"), Method: rules.File, Targets: "/nonexistent/targets"},
	}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 128) }

// Link is the node's uplink in all three runs.
func Link(index int) rules.Link {
	return rules.Link{
		Name: "uplink", Index: index, MAC: NodeMAC, Ethernet: true, Up: true, Forwarding: true,
		Addresses: []rules.LinkAddress{
			{Prefix: netip.PrefixFrom(NodeAddr, 64), Usable: true},
			{Prefix: netip.PrefixFrom(NodeLinkLocal, 64), Usable: true},
		},
	}
}

// Solicitation returns a good solicitation of the router for a target.
func Solicitation(target netip.Addr) Frame { return solicitation(target) }

// Long returns a good solicitation for a target with an option that makes it too
// long for most buffers.
func Long(target netip.Addr) Frame {
	return solicitation(target, options(sourceLink(RouterMAC), option(253, 100)))
}

// Probe returns the duplicate address detection of another station for a target.
func Probe(target netip.Addr) Frame { return solicitation(target, dad) }

// Clustered returns the reasons that take a cluster. The tests of test/kubernetes
// meet each of them.
func Clustered() []ndp.Reason {
	return []ndp.Reason{ndp.Silent(rules.NotLocal), ndp.Silent(rules.NotAllocated), ndp.Silent(rules.NotOwner), ndp.Silent(rules.NodeAddress), ndp.Silent(rules.OtherKind)}
}

// Stateful returns the reasons that no single frame can show. The wire tests
// meet each of them.
func Stateful() []ndp.Reason {
	return []ndp.Reason{
		ndp.Silent(rules.NextHop), ndp.Silent(rules.Claimed), ndp.Silent(rules.OwnAddress), ndp.Silent(rules.SameLink), ndp.Silent(rules.Shared), ndp.Silent(rules.Standby), ndp.NoNeighbor, ndp.ProbeLimited,
		ndp.RateLimited, ndp.Displaced, ndp.Withdrawn, ndp.SendFailed,
	}
}
