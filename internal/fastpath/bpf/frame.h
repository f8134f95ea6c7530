/* SPDX-License-Identifier: Apache-2.0 */

/* What a frame looks like, and how its addresses are read, told apart, written and summed. */

/* A frame as it is on the wire, RFC 2464 3, RFC 8200 3, RFC 4861 4.3 and 4.4. */
struct frame {
	__u16 ether_to[3], ether_from[3], ether_type;
	__u16 version[2], length;
	__u8 next_header, hop_limit;
	__u16 source[8], to[8];
	__u8 type, code;
	__u16 checksum;
	__u8 flags, reserved[3];
	__u16 target[8];
	__u16 option[4]; /* of an advertisement: the target link-layer address */
};

enum {
	HEADERS = 54,      /* Ethernet and IPv6 */
	SOLICITATION = 78, /* without options, RFC 4861 7.1.1 */
	LONGEST = SOLICITATION + 8 * MAX_UNITS, /* that is looked at */
	ADVERTISEMENT = 86,

	ETHER_IPV6 = 0x86dd,
	ICMPV6 = 58,
	TYPE_SOLICITATION = 135,
	TYPE_ADVERTISEMENT = 136,
	SOURCE_LINK_ADDRESS = 1,
	TARGET_LINK_ADDRESS = 2,
	FLAG_SOLICITED = 0x40,
};

INLINE struct address address_at(const __u16 *at)
{
	const __u64 *words = (const __u64 *)at; /* aligned as the frame's packet is */
	return (struct address){words[0], words[1]};
}

INLINE void put_address(__u16 *at, struct address a)
{
	((__u64 *)at)[0] = a.high;
	((__u64 *)at)[1] = a.low;
}

INLINE int same(struct address a, struct address b) { return a.high == b.high && a.low == b.low; }

/* All ones where two addresses differ, and 0 where they do not. */
INLINE __u64 differ(struct address a, struct address b)
{
	__u64 bits = (a.high ^ b.high) | (a.low ^ b.low);
	bits |= -bits;
	asm volatile("%0 s>>= 63" : "+r"(bits));
	return bits;
}

INLINE int within(struct address a, const struct prefix *p)
{
	return !(((a.high ^ p->address.high) & p->mask.high) | ((a.low ^ p->address.low) & p->mask.low));
}

/* A link-layer address, whose octets are in the order of a 16 bit word. What a solicitation
 * says is kept in whole words: verifiers as that of Linux 6.1 refuse to write a part of a word of
 * the stack after another part, as damage to a pointer. */
INLINE __u64 mac_at(const void *at)
{
	const __u16 *m = at;
	return m[0] | (__u64)m[1] << 16 | (__u64)m[2] << 32;
}

INLINE void put_mac(void *at, __u64 mac)
{
	__u16 *m = at;
	m[0] = mac, m[1] = mac >> 16, m[2] = mac >> 32;
}

INLINE __u8 octet(const struct address *a, int i) { return ((const __u8 *)a)[i]; }

/* Addresses that no target and no source can have: RFC 4291 2.5.2, 2.5.3, 2.5.5.2, 2.7. */
INLINE int is_special(const struct address *a)
{
	__u32 middle = ((const __u32 *)a)[2];
	if (octet(a, 0) == 0xff)
		return 1;
	if (a->high)
		return 0;
	if (middle == (__u32)HTONS(0xffff) << (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 16 : 0))
		return 1; /* ::ffff:0:0/96 */
	return !middle && octet(a, 12) == 0 && octet(a, 13) == 0 && octet(a, 14) == 0 && octet(a, 15) <= 1;
}

INLINE int is_link_local(const struct address *a) { return octet(a, 0) == 0xfe && (octet(a, 1) & 0xc0) == 0x80; }

/* The destination of a multicast solicitation for a target: its solicited-node address
 * (RFC 4291 2.7.1, RFC 4861 7.2.2), or all nodes. */
INLINE int is_group_of(const struct address *to, const struct address *target)
{
	__u64 solicited_node = HTONLL(0x1ff000000) | (target->low & HTONLL(0xffffff));

	return to->high == HTONLL(0xff02000000000000) && (to->low == solicited_node || to->low == HTONLL(1));
}

/* The Internet checksum, RFC 1071, in words of 32 bits: there is no carry to come around before
 * the end, and so no branch that a processor would guess wrong half of the time. */
INLINE __u64 add(__u64 sum, __u64 word) { return sum + (word >> 32) + (__u32)word; }

INLINE __u64 add_address(__u64 sum, struct address a) { return add(add(sum, a.high), a.low); }

INLINE __u16 fold(__u64 sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}
