// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The layout of inet_diag_req_v2 and inet_diag_msg (linux/inet_diag.h), in bytes.
const (
	diagID     = 48 // struct inet_diag_sockid, the same in both
	diagReqID  = 8
	diagReqLen = diagReqID + diagID
	diagMsgID  = 4
	diagUser   = diagMsgID + diagID + 12
	diagMsgLen = diagUser + 8

	// tcpEstablished is the state TCP_ESTABLISHED.
	tcpEstablished = 1
)

// localUser returns the user of the process at the other end of a TCP connection,
// where that end is in our network namespace too. The kernel's socket diagnosis
// tells it to everybody; it looks up a single socket, without a list.
func localUser(local, remote net.Addr) (uid uint32, ok bool) {
	l, isTCP := local.(*net.TCPAddr)
	r, isTCPToo := remote.(*net.TCPAddr)
	if !isTCP || !isTCPToo {
		return 0, false
	}
	ours, theirs := unmapped(l.AddrPort()), unmapped(r.AddrPort())
	id := socketID(theirs, ours) // as the other end sees it
	request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	request.AddRawData(diagRequest(id, theirs.Addr().Is4()))
	answers, err := request.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	if err != nil || len(answers) != 1 {
		return 0, false
	}
	// An IPv6 socket that speaks IPv4 is found by its IPv4 addresses, and described
	// by those that are mapped to IPv6.
	return parseDiag(answers[0], id, socketID(mapped(theirs), mapped(ours)))
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// mapped returns an IPv4 address as an IPv6 one (RFC 4291 §2.5.5.2).
func mapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// socketID returns the part of a struct inet_diag_sockid that has ports and
// addresses.
func socketID(source, destination netip.AddrPort) []byte {
	id := make([]byte, 4, diagID)
	binary.BigEndian.PutUint16(id, source.Port())
	binary.BigEndian.PutUint16(id[2:], destination.Port())
	for _, a := range []netip.Addr{source.Addr(), destination.Addr()} {
		var b [16]byte
		copy(b[:], a.AsSlice())
		id = append(id, b[:]...)
	}
	return id
}

// diagRequest asks for one TCP socket in any state.
func diagRequest(id []byte, ipv4 bool) []byte {
	b := make([]byte, diagReqLen)
	b[0], b[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if ipv4 {
		b[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0)) // states
	copy(b[diagReqID:], id)
	for i := diagReqLen - 8; i < diagReqLen; i++ {
		b[i] = 0xff // INET_DIAG_NOCOOKIE
	}
	return b
}

// parseDiag returns the user of the socket that an answer describes. The kernel
// answers with a listening socket where the port of a stranger from elsewhere
// happens to be that of a local service, which must not make the stranger its
// user: only an established connection between the same ends counts, by one of ids.
func parseDiag(b []byte, ids ...[]byte) (uid uint32, ok bool) {
	if len(b) < diagMsgLen || b[1] != tcpEstablished {
		return 0, false
	}
	if !slices.ContainsFunc(ids, func(id []byte) bool { return bytes.HasPrefix(b[diagMsgID:], id) }) {
		return 0, false
	}
	return binary.NativeEndian.Uint32(b[diagUser:]), true
}
