/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the program uses of the kernel's stable interface, so that compiling it takes no
 * kernel headers. The numbers are those of the kernel's uapi, which never change.
 */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;

/* What the program at tc ingress sees of a frame: a part of struct __sk_buff. */
struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
};

/* What the program sees of a frame by XDP. */
struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
};

enum {
	PACKET_HOST = 0,
	PACKET_MULTICAST = 2,
	PACKET_OTHERHOST = 3,
};

enum {
	TC_ACT_UNSPEC = -1, /* for the next program, which tcx calls TCX_NEXT */
	XDP_PASS = 2,
	XDP_TX = 3,
};

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,

	BPF_F_NO_PREALLOC = 1,

	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
};

/* The helper functions, by their numbers. */
static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*skb_change_type)(struct __sk_buff *skb, __u32 type) = (void *)32;
static long (*skb_change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)38;
static long (*skb_pull_data)(struct __sk_buff *skb, __u32 len) = (void *)39;
static long (*xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
static void *(*ringbuf_reserve)(void *ringbuf, __u64 size, __u64 flags) = (void *)131;
static void (*ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static __u64 (*ktime_get_coarse_ns)(void) = (void *)160;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HTONS(x) ((__u16)__builtin_bswap16(x))
#define HTONLL(x) ((__u64)__builtin_bswap64(x))
#else
#define HTONS(x) ((__u16)(x))
#define HTONLL(x) ((__u64)(x))
#endif
