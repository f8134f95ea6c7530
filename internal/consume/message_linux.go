// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What golang.org/x/sys has no names for (linux/netfilter/nf_tables.h and
// linux/netfilter.h).
const (
	tableOwner = 0x2 // NFT_TABLE_F_OWNER
	register   = unix.NFT_REG_1

	protoICMPv6      = 58
	typeSolicitation = 135 // RFC 4861 §4.3
	offDest          = 24  // of the destination in an IPv6 header, RFC 8200 §3
)

// be returns a number whose octets in memory are in network order, as nftables
// wants numbers.
func be(v uint32) uint32 {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return binary.NativeEndian.Uint32(b[:])
}

// batch is a transaction of nftables.
type batch struct {
	messages []netlink.Message
	err      error
}

func newBatch() *batch {
	b := new(batch)
	b.bound(unix.NFNL_MSG_BATCH_BEGIN)
	return b
}

func (b *batch) finish() []netlink.Message {
	b.bound(unix.NFNL_MSG_BATCH_END)
	return b.messages
}

// bound adds the begin or the end.
func (b *batch) bound(kind netlink.HeaderType) {
	b.messages = append(b.messages, netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES}, // struct nfgenmsg
	})
}

func (b *batch) add(kind int, flags netlink.HeaderFlags, attrs []byte) {
	b.messages = append(b.messages, netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), //nolint:gosec // two octets
			Flags: netlink.Request | netlink.Acknowledge | flags,
		},
		Data: append([]byte{unix.NFPROTO_IPV6, unix.NFNETLINK_V0, 0, 0}, attrs...),
	})
}

// attrs encodes attributes.
func (b *batch) attrs(f func(*netlink.AttributeEncoder)) []byte {
	e := netlink.NewAttributeEncoder()
	f(e)
	data, err := e.Encode()
	if err != nil && b.err == nil {
		b.err = err
	}
	return data
}

// chain is one of the table's chains.
type chain struct {
	name     string
	hook     uint32
	priority int32
}

// What is consumed goes before routing, and what would loop after that and after
// service proxies, which change the destination of what they take.
func prerouting() chain { return chain{"prerouting", 0, -300} } // NF_INET_PRE_ROUTING, NF_IP6_PRI_RAW

func forward() chain { return chain{"forward", 2, 0} } // NF_INET_FORWARD, NF_IP6_PRI_FILTER

func (b *batch) chain(c chain) {
	b.add(unix.NFT_MSG_NEWCHAIN, netlink.Create, b.attrs(func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_CHAIN_TABLE, tableName)
		e.String(unix.NFTA_CHAIN_NAME, c.name)
		e.Nested(unix.NFTA_CHAIN_HOOK, func(e *netlink.AttributeEncoder) error {
			e.Uint32(unix.NFTA_HOOK_HOOKNUM, be(c.hook))
			e.Uint32(unix.NFTA_HOOK_PRIORITY, be(uint32(c.priority))) //nolint:gosec // two's complement
			return nil
		})
		e.String(unix.NFTA_CHAIN_TYPE, "filter")
		e.Uint32(unix.NFTA_CHAIN_POLICY, be(1)) // NF_ACCEPT
	}))
}

// rule adds a rule that drops what its expressions match.
func (b *batch) rule(c chain, match func(*netlink.AttributeEncoder)) {
	b.add(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, b.attrs(func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_RULE_TABLE, tableName)
		e.String(unix.NFTA_RULE_CHAIN, c.name)
		e.Nested(unix.NFTA_RULE_EXPRESSIONS, func(e *netlink.AttributeEncoder) error {
			match(e)
			drop(e)
			return nil
		})
	}))
}

// consume drops what came in on the device, for its own MAC address, is a
// solicitation, and goes to an address of the prefix and not to one of this host.
func (b *batch) consume(u Uplink, p netip.Prefix) {
	b.rule(prerouting(), func(e *netlink.AttributeEncoder) {
		device(e, unix.NFT_META_IIF, u.Index)
		payload(e, unix.NFT_PAYLOAD_LL_HEADER, 0, 6)
		compare(e, unix.NFT_CMP_EQ, u.MAC[:])
		meta(e, unix.NFT_META_L4PROTO)
		compare(e, unix.NFT_CMP_EQ, []byte{protoICMPv6})
		payload(e, unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1)
		compare(e, unix.NFT_CMP_EQ, []byte{typeSolicitation})
		destination(e, p)
		notLocal(e)
	})
}

// dropLoop drops what came in on the device, would leave by it, and still goes to
// an address of the prefix.
func (b *batch) dropLoop(u Uplink, p netip.Prefix) {
	b.rule(forward(), func(e *netlink.AttributeEncoder) {
		device(e, unix.NFT_META_IIF, u.Index)
		device(e, unix.NFT_META_OIF, u.Index)
		destination(e, p)
	})
}

// device compares the device that a packet came in on, or leaves by.
func device(e *netlink.AttributeEncoder, key uint32, index int) {
	meta(e, key)
	compare(e, unix.NFT_CMP_EQ, binary.NativeEndian.AppendUint32(nil, uint32(index))) //nolint:gosec // an index
}

// destination compares the destination with a prefix.
func destination(e *netlink.AttributeEncoder, p netip.Prefix) {
	payload(e, unix.NFT_PAYLOAD_NETWORK_HEADER, offDest, 16)
	mask(e, p.Bits())
	compare(e, unix.NFT_CMP_EQ, p.Masked().Addr().AsSlice())
}

// expression adds one expression of a rule.
func expression(e *netlink.AttributeEncoder, name string, data func(*netlink.AttributeEncoder)) {
	e.Nested(unix.NFTA_LIST_ELEM, func(e *netlink.AttributeEncoder) error {
		e.String(unix.NFTA_EXPR_NAME, name)
		e.Nested(unix.NFTA_EXPR_DATA, func(e *netlink.AttributeEncoder) error {
			data(e)
			return nil
		})
		return nil
	})
}

// value adds data as nftables wraps it.
func value(e *netlink.AttributeEncoder, kind uint16, data []byte) {
	e.Nested(kind, func(e *netlink.AttributeEncoder) error {
		e.Bytes(unix.NFTA_DATA_VALUE, data)
		return nil
	})
}

func meta(e *netlink.AttributeEncoder, key uint32) {
	expression(e, "meta", func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NFTA_META_KEY, be(key))
		e.Uint32(unix.NFTA_META_DREG, be(register))
	})
}

func payload(e *netlink.AttributeEncoder, base, offset, length uint32) {
	expression(e, "payload", func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NFTA_PAYLOAD_DREG, be(register))
		e.Uint32(unix.NFTA_PAYLOAD_BASE, be(base))
		e.Uint32(unix.NFTA_PAYLOAD_OFFSET, be(offset))
		e.Uint32(unix.NFTA_PAYLOAD_LEN, be(length))
	})
}

func compare(e *netlink.AttributeEncoder, op uint32, data []byte) {
	expression(e, "cmp", func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NFTA_CMP_SREG, be(register))
		e.Uint32(unix.NFTA_CMP_OP, be(op))
		value(e, unix.NFTA_CMP_DATA, data)
	})
}

// mask keeps the first bits of the address in the register.
func mask(e *netlink.AttributeEncoder, n int) {
	m := make([]byte, 16)
	for i := range m {
		m[i] = ^byte(0xff >> min(8, max(0, n-8*i)))
	}
	expression(e, "bitwise", func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NFTA_BITWISE_SREG, be(register))
		e.Uint32(unix.NFTA_BITWISE_DREG, be(register))
		e.Uint32(unix.NFTA_BITWISE_LEN, be(16))
		value(e, unix.NFTA_BITWISE_MASK, m)
		value(e, unix.NFTA_BITWISE_XOR, make([]byte, 16))
	})
}

// notLocal goes on with addresses that are not assigned to this host.
func notLocal(e *netlink.AttributeEncoder) {
	expression(e, "fib", func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NFTA_FIB_DREG, be(register))
		e.Uint32(unix.NFTA_FIB_RESULT, be(unix.NFT_FIB_RESULT_ADDRTYPE))
		e.Uint32(unix.NFTA_FIB_FLAGS, be(unix.NFTA_FIB_F_DADDR))
	})
	compare(e, unix.NFT_CMP_NEQ, binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL))
}

func drop(e *netlink.AttributeEncoder) {
	expression(e, "immediate", func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NFTA_IMMEDIATE_DREG, be(unix.NFT_REG_VERDICT))
		e.Nested(unix.NFTA_IMMEDIATE_DATA, func(e *netlink.AttributeEncoder) error {
			e.Nested(unix.NFTA_DATA_VERDICT, func(e *netlink.AttributeEncoder) error {
				e.Uint32(unix.NFTA_VERDICT_CODE, be(0)) // NF_DROP
				return nil
			})
			return nil
		})
	})
}
