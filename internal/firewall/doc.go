// SPDX-License-Identifier: Apache-2.0

// Package firewall tells what the rules of nftables, and those that iptables made
// of it, do for certain with a packet: whether it is dropped, whether its
// destination may be translated, and whether it leaves with another source. What depends on something that is not known of
// the packet, such as its protocol, is neither, so that nobody is alarmed by a
// firewall that lets some packets pass.
//
// [Read] opens the rules of the network namespace, which takes CAP_NET_ADMIN. A
// [Ruleset] then reads the chains that a packet comes to, each once. Package
// inspect makes one for each inspection; a Ruleset is not safe for concurrent use.
//
// Rules of the older kind of iptables (iptables-legacy), of eBPF and of bridges
// (ebtables) are not seen.
package firewall
