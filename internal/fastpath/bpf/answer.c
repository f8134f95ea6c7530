/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Answers Neighbor Solicitations as Respond of pkg/ndp does, octet for octet, where the
 * answer follows from the frame, the facts of the uplink and the table alone. Everything
 * else it passes up untouched: the packet socket hears it, decides and counts it. So a
 * frame that is doubtful, invalid or unknown is passed up, and none is ever answered twice.
 *
 * The daemon writes the maps (see maps_linux.go), and may be dead: the table is believed
 * only while the daemon's sign of life is young.
 */

#include "abi.h"
#include "table.h"
#include "frame.h"

/* Loops have a copy of their body for each round. Without CAP_PERFMON, which the daemon has no
 * other use for, the verifier also walks where a processor may guess that a loop goes on,
 * and lets pointers move by constants alone. */
#define UNROLL _Pragma("clang loop unroll(full)")

/* What was read from a solicitation. */
struct solicitation {
	struct address source, to, target, from; /* from is where the answer comes from */
	__u64 ether, asker;                      /* link-layer addresses, see mac_at */
	__u64 sum;                               /* of source and target, which the answer has, too */
	__u32 multicast;
};

/*
 * The line that decides for an address, or 0. The function is global, so that the verifier
 * walks it once, and not in each state of its callers: that was most of the time of loading.
 */
__attribute__((noinline)) __u32 find(const struct facts *f, const struct address *a)
{
	/* So that the address fills words of 64 bits, see mac_at. */
	struct {
		__u32 pad;
		struct key key;
	} __attribute__((aligned(8))) at;
	__u32 slot, found = 0, *line;
	void *map;

	if (!f || !a) /* the verifier takes both for doubtful here */
		return 0;
	slot = f->slot;
	if (f->has_trie && (map = map_lookup(&tries, &slot))) {
		at.key.bits = 128;
		__builtin_memcpy(at.key.address, a, sizeof(*a));
		if ((line = map_lookup(map, &at.key)))
			found = *line;
	}
	map = map_lookup(&lines, &slot);
	if (!map)
		return found;
	UNROLL
	for (__u32 i = 0; i < MAX_CLASSES && i < f->classes; i++) {
		const struct class *class = &f->class[i];
		struct address masked = {a->high & class->mask.high, a->low & class->mask.low};

		if (found && class->bits <= found >> LENGTH_SHIFT)
			break; /* the longest prefix decides */
		at.key.bits = class->bits;
		__builtin_memcpy(at.key.address, &masked, sizeof(masked));
		if ((line = map_lookup(map, &at.key)))
			return *line;
	}
	return found;
}

/* Whether the target or the source is the interface's own, for which the kernel answers. There
 * is no branch within the loop, of which the verifier would walk each. */
INLINE int owns_any(const struct facts *f, const struct solicitation *s)
{
	__u64 none = ~0ULL;

	if (!((f->filter >> filter_bit(&s->target) | f->filter >> filter_bit(&s->source)) & 1))
		return 0; /* as for most, without a look at each */
	UNROLL
	for (__u32 i = 0; i < MAX_ADDRESSES && i < f->addresses; i++) {
		const struct address *a = &f->address[i];
		none &= differ(*a, s->target) & differ(*a, s->source);
	}
	return !none;
}

/* Whether the uplink's settings leave the asker to the socket. */
INLINE int is_left_out(const struct facts *f, const struct solicitation *s)
{
	UNROLL
	for (__u32 i = 0; i < MAX_IGNORED && i < f->ignored; i++)
		if (within(s->source, &f->ignore[i]))
			return 1;
	UNROLL
	for (__u32 i = 0; i < MAX_IGNORED && i < f->ignored_macs; i++)
		if (s->ether == mac_at(f->ignore_mac[i]) || s->asker == mac_at(f->ignore_mac[i]))
			return 1;
	if (!(f->flags & ONLINK_ONLY) || is_link_local(&s->source))
		return 0;
	UNROLL
	for (__u32 i = 0; i < MAX_ONLINK && i < f->onlinks; i++)
		if (within(s->source, &f->onlink[i]))
			return 0; /* RFC 5942 4 */
	return 1;
}

/* Chooses the source address of the answer. Returns 0 where there is none. */
INLINE int choose_source(const struct facts *f, struct solicitation *s)
{
	if (f->flags & SOURCE_TARGET) {
		s->from = s->target;
		return 1;
	}
	UNROLL
	for (__u32 i = 0; i < MAX_SOURCES && i < f->sources; i++) {
		struct address from = f->source[i].from;
		asm volatile("" : "+r"(from.high), "+r"(from.low)); /* in the loop, where i is a constant */
		if (within(s->source, &f->source[i].prefix)) {
			s->from = from;
			return 1;
		}
	}
	s->from = f->fallback;
	return f->flags & HAS_FALLBACK;
}

INLINE int is_solicitation(const struct frame *in)
{
	return in->ether_type == HTONS(ETHER_IPV6) && in->next_header == ICMPV6 && in->type == TYPE_SOLICITATION;
}

/* Reads a solicitation of len octets, all of which are there. Returns 0 for a frame that
 * is not to be answered here: the rules of RFC 4861 7.1.1, and of what Respond is strict
 * about, with doubtful forms left to it. */
INLINE int parse(struct frame *in, void *end, __u32 len, struct solicitation *s)
{
	__u32 units = (len - SOLICITATION) / 8, left = 0, found = 0;
	__u64 sum;

	s->source = address_at(in->source);
	s->to = address_at(in->to);
	s->target = address_at(in->target);
	s->multicast = octet(&s->to, 0) == 0xff;
	if (*(__u8 *)in->version >> 4 != 6 || in->hop_limit != 255 || in->code != 0) /* RFC 4861 7.1.1 */
		return 0;
	if (in->length != HTONS(len - HEADERS) || (len - SOLICITATION) % 8 != 0)
		return 0;
	if (is_special(&s->target) || is_link_local(&s->target) || is_special(&s->source))
		return 0; /* among them duplicate address detection */
	if (s->multicast && !is_group_of(&s->to, &s->target)) /* RFC 4861 7.2.2 */
		return 0;
	/* Another unicast destination than the target is our own address, or wrong. */
	if (!s->multicast && !same(s->to, s->target))
		return 0;
	if (same(s->source, s->target)) /* RFC 4862 5.4: somebody claims the target */
		return 0;

	s->sum = add_address(add_address(0, s->source), s->target);
	sum = add(s->sum + HTONS(len - HEADERS) + HTONS(ICMPV6), *(__u64 *)&in->type);
	sum = add_address(sum, s->to);
	s->ether = s->asker = mac_at(in->ether_from);
	UNROLL
	for (__u32 i = 0; i <= MAX_UNITS; i++) {
		const __u64 *unit = (const __u64 *)in->option + i;
		const __u8 *option = (const __u8 *)unit;

		if (i == units) {
			if ((void *)(option + 1) <= end)
				return 0; /* the frame goes on behind the packet */
			break;
		}
		if ((void *)(unit + 1) > end)
			return 0;
		sum = add(sum, *unit);
		if (left) { /* within an option */
			left--;
		} else {
			if (option[1] == 0 || option[1] > units - i) /* RFC 4861 4.6 */
				return 0;
			if (option[0] == SOURCE_LINK_ADDRESS && !found) {
				found = 1;
				if (option[1] != 1) /* RFC 2464 6 */
					return 0;
				s->asker = mac_at(option + 2);
			}
			left = option[1] - 1;
		}
	}
	return fold(sum) == 0xffff; /* RFC 8200 8.1 */
}

/* Decides whether the solicitation is answered here, as answer and checkAsker of
 * pkg/ndp do. */
INLINE int decide(const struct facts *f, struct solicitation *s, __u64 now)
{
	__u32 zero = 0, line;
	struct deadlines *l = map_lookup(&life, &zero);

	if (!l || now >= l->until)
		return 0;
	if ((s->asker & HTONS(0x0100)) || !s->asker) /* a group, or none */
		return 0;
	if (s->ether == mac_at(f->mac) || s->asker == mac_at(f->mac))
		return 0;
	if (owns_any(f, s) || is_left_out(f, s))
		return 0;
	line = find(f, &s->target);
	if (!(line & ANSWER) || ((line & DELAYED) && s->multicast)) /* RFC 4861 7.2.8 */
		return 0;
	if ((line & SHARED) && now >= l->alive_until)
		return 0;
	return choose_source(f, s);
}

/* Writes the answer, RFC 4861 7.2.4, without the Override flag (7.2.8). */
INLINE void answer(struct frame *out, const struct facts *f, const struct solicitation *s)
{
	__u64 sum;

	put_mac(out->ether_to, s->asker);
	put_mac(out->ether_from, mac_at(f->mac));
	out->version[0] = HTONS(0x6000);
	out->version[1] = 0;
	out->length = HTONS(ADVERTISEMENT - HEADERS);
	out->next_header = ICMPV6;
	out->hop_limit = 255;
	put_address(out->source, s->from);
	put_address(out->to, s->source);
	out->type = TYPE_ADVERTISEMENT;
	out->code = 0;
	out->checksum = 0;
	out->flags = f->router | FLAG_SOLICITED;
	out->reserved[0] = out->reserved[1] = out->reserved[2] = 0;
	put_address(out->target, s->target);
	out->option[0] = HTONS(TARGET_LINK_ADDRESS << 8 | 1);
	put_mac(out->option + 1, mac_at(f->mac));

	/* Not of the frame: a word that was written in parts makes a processor wait until they
	 * have left for its cache. */
	sum = add(add_address(s->sum, s->from), mac_at(f->mac));
	sum += HTONS(ADVERTISEMENT - HEADERS) + HTONS(ICMPV6) + HTONS(TYPE_ADVERTISEMENT << 8);
	sum += HTONS((f->router | FLAG_SOLICITED) << 8) + HTONS(TARGET_LINK_ADDRESS << 8 | 1);
	out->checksum = ~fold(sum);
}

/* Counts an answer, and tells the daemon of it unless it hears of enough already. */
INLINE void count(const struct solicitation *s, __u64 now)
{
	__u32 zero = 0;
	struct counts *c = map_lookup(&counters, &zero);
	struct record *r;
	__u64 wake = BPF_RB_NO_WAKEUP;

	if (!c)
		return;
	c->answered_multicast += !!s->multicast; /* a branch would become a pointer that moves */
	c->answered_unicast += !s->multicast;
	c->redirected += s->asker != s->ether;
	if (now - c->window >= RECORD_WINDOW) {
		c->window = now;
		c->records = 0;
		wake = BPF_RB_FORCE_WAKEUP;
	}
	/* An attempt counts, too: it takes a lock even where there is no room. */
	if (c->records++ >= RECORDS || !(r = ringbuf_reserve(&records, sizeof(*r), 0))) {
		c->records_lost++;
		return;
	}
	r->target = s->target;
	r->source = s->source;
	put_mac(r->ether, s->ether);
	put_mac(r->asker, s->asker);
	r->multicast = s->multicast;
	ringbuf_submit(r, wake);
}

INLINE struct facts *uplink_facts(void)
{
	__u32 zero = 0;
	void *inner = map_lookup(&config, &zero);
	return inner ? map_lookup(inner, &zero) : 0;
}

/* Keeps a unicast solicitation for an address that the rules cover from the kernel's IPv6,
 * which would send the asker an error or forward it, while our socket hears it. Without a
 * daemon nobody would, and an own address that the facts do not know yet would be silent. */
INLINE int pass_tc(struct __sk_buff *skb, const struct facts *f, __u64 now)
{
	/* Read anew, so that the verifier need not tell apart where this is called from. */
	struct frame *in = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 zero = 0;
	struct deadlines *l;
	struct solicitation s;

	if (!(f->flags & CONSUME) || skb->pkt_type != PACKET_HOST || (void *)in + SOLICITATION > end ||
	    *(__u8 *)in->to == 0xff)
		return TC_ACT_UNSPEC;
	s.source = s.target = address_at(in->to);
	l = map_lookup(&life, &zero);
	if (!l || now >= l->alive_until || owns_any(f, &s) || !(find(f, &s.target) & COVERED))
		return TC_ACT_UNSPEC;
	skb->mark = CONSUMED_MARK;
	skb_change_type(skb, PACKET_OTHERHOST);
	return TC_ACT_UNSPEC;
}

SECTION("tc")
int ndproxyd_tc(struct __sk_buff *skb)
{
	__u32 len = skb->len;
	struct solicitation s;
	struct facts *f;
	struct frame *in;
	void *end;
	__u64 now;

	if (skb->protocol != HTONS(ETHER_IPV6) || len < SOLICITATION || skb->pkt_type > PACKET_MULTICAST || skb->vlan_present)
		return TC_ACT_UNSPEC;
	in = (void *)(long)skb->data, end = (void *)(long)skb->data_end;
	if ((void *)in + SOLICITATION > end) {
		if (len > LONGEST || skb_pull_data(skb, len))
			return TC_ACT_UNSPEC;
		in = (void *)(long)skb->data, end = (void *)(long)skb->data_end;
		if ((void *)in + SOLICITATION > end)
			return TC_ACT_UNSPEC;
	}
	if (!is_solicitation(in) || !(f = uplink_facts()))
		return TC_ACT_UNSPEC;
	now = ktime_get_coarse_ns();
	if (len > LONGEST)
		return pass_tc(skb, f, now);
	if (len != ADVERTISEMENT || (void *)in + ADVERTISEMENT > end) { /* all of it, before it is read */
		if (skb_pull_data(skb, len))
			return TC_ACT_UNSPEC;
		in = (void *)(long)skb->data, end = (void *)(long)skb->data_end;
		if ((void *)in + SOLICITATION > end)
			return TC_ACT_UNSPEC;
	}
	if (!parse(in, end, len, &s) || !decide(f, &s, now))
		return pass_tc(skb, f, now);
	if (len != ADVERTISEMENT && skb_change_tail(skb, ADVERTISEMENT, 0))
		return TC_ACT_UNSPEC;
	in = (void *)(long)skb->data, end = (void *)(long)skb->data_end;
	if ((void *)in + ADVERTISEMENT > end)
		return TC_ACT_UNSPEC;
	answer(in, f, &s);
	count(&s, now);
	return redirect(skb->ifindex, 0);
}

SECTION("xdp")
int ndproxyd_xdp(struct xdp_md *ctx)
{
	struct frame *in = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 len;
	struct solicitation s;
	struct facts *f;
	__u64 now;

	if ((void *)in + SOLICITATION > end)
		return XDP_PASS;
	len = HEADERS + HTONS(in->length);
	if (!is_solicitation(in) || len < SOLICITATION || len > LONGEST)
		return XDP_PASS;
	f = uplink_facts();
	if (!f || (!(*(__u8 *)in->ether_to & 1) && mac_at(in->ether_to) != mac_at(f->mac)))
		return XDP_PASS;
	now = ktime_get_coarse_ns();
	if (!parse(in, end, len, &s) || !decide(f, &s, now))
		return XDP_PASS;
	if (len != ADVERTISEMENT && xdp_adjust_tail(ctx, ADVERTISEMENT - (int)len))
		return XDP_PASS;
	in = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
	if ((void *)in + ADVERTISEMENT > end)
		return XDP_PASS;
	answer(in, f, &s);
	count(&s, now);
	return XDP_TX;
}

char _license[] SECTION("license") = "Apache-2.0";
