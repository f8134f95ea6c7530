/* SPDX-License-Identifier: Apache-2.0 */

/* What a frame looks like, and how its addresses are read, written and summed. */

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

/* The Internet checksum, RFC 1071: words of 64 bits with the carry that comes around. */
INLINE __u64 add(__u64 sum, __u64 word)
{
	sum += word;
	return sum + (sum < word);
}

INLINE __u64 add_address(__u64 sum, struct address a) { return add(add(sum, a.high), a.low); }

INLINE __u16 fold(__u64 sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}
