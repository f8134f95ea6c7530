// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"
)

// align rounds up to the alignment of netlink messages and attributes.
func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// header reads a message's header from at least NLMSG_HDRLEN octets.
func header(b []byte) unix.NlMsghdr {
	e := binary.NativeEndian
	return unix.NlMsghdr{Len: e.Uint32(b), Type: e.Uint16(b[4:]), Flags: e.Uint16(b[6:]), Seq: e.Uint32(b[8:]), Pid: e.Uint32(b[12:])}
}

// attributes yields the attributes of a message, without their flags, up to the
// first that is broken.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			n := int(binary.NativeEndian.Uint16(b))
			if n < unix.SizeofRtAttr || n > len(b) {
				return
			}
			kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(kind, b[unix.SizeofRtAttr:n]) {
				return
			}
			b = b[min(len(b), align(n)):]
		}
	}
}

// number reads a 32-bit attribute, 0 where it is shorter.
func number(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
