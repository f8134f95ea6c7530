/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the daemon and the program share: the maps, and what is in them. The daemon writes
 * the first four, reads the counters, and is told of answers by the ring buffer.
 */

/* Bounds that facts.go has as well. */
enum {
	MAX_CLASSES = 8,   /* prefix lengths that have a place in the hash */
	MAX_ADDRESSES = 16,
	MAX_SOURCES = 8,
	MAX_ONLINK = 16,
	MAX_IGNORED = 16,
	MAX_UNITS = 8,     /* of options, 8 octets each; RFC 4861 4.6 */
};

/* The flags of the facts. */
enum {
	CONSUME = 1,       /* keep passed unicast solicitations from the kernel's IPv6 */
	ONLINK_ONLY = 2,   /* askers outside of the link's prefixes are not answered here */
	SOURCE_TARGET = 4, /* answers come from the target */
	HAS_FALLBACK = 8,  /* there is an address to answer any asker from */
};

/* A line of the table: these bits, and the length of its prefix above them. */
enum {
	ANSWER = 1,        /* solicitations are answered */
	DELAYED = 2,       /* but multicast ones after a delay, by the socket */
	SHARED = 4,        /* other nodes take the address over when this one is silent */
	COVERED = 8,       /* by a rule that is no deny rule */
	LENGTH_SHIFT = 8,
};

/* The mark of a frame that our socket hears although the kernel's IPv6 must not. */
#define CONSUMED_MARK 0x6e647072 /* "ndpr" */

struct address {
	__u64 high, low; /* in network byte order */
};

struct prefix {
	struct address address, mask;
};

struct source {
	struct prefix prefix; /* of the askers */
	struct address from;
};

struct class {
	struct address mask;
	__u32 bits, pad;
};

struct facts {
	__u32 flags;
	__u32 slot;       /* of the table in lines and tries */
	__u32 has_trie;   /* the trie of that slot is not empty */
	__u32 router;     /* flags of an advertisement, in its octet: R, or 0 */
	__u8 mac[8];      /* 6 octets */
	__u64 filter;     /* the filter_bit of each own address */
	__u32 classes, addresses, sources, onlinks, ignored, ignored_macs;
	struct class class[MAX_CLASSES]; /* longest first */
	struct address address[MAX_ADDRESSES];
	struct source source[MAX_SOURCES];
	struct address fallback;
	struct prefix onlink[MAX_ONLINK];
	struct prefix ignore[MAX_IGNORED];
	__u8 ignore_mac[MAX_IGNORED][8];
};

/* The number of the bit that stands for an address in the filter of own addresses: filterBit of
 * facts.go. The factor is 2^64 divided by the golden ratio. */
INLINE __u64 filter_bit(const struct address *a) { return (a->high ^ a->low) * 0x9e3779b97f4a7c15 >> 58; }

/* A key of the table's maps; the form is that of an LPM trie. */
struct key {
	__u32 bits;
	__u32 address[4];
};

/* Until when the daemon's table is believed, and until when the daemon itself is taken to be
 * alive, on the monotonic clock in nanoseconds. What somebody else does once the daemon is
 * dead is not done for longer than that: other nodes take lines over that are SHARED, and
 * the kernel answers for an address that it was given since. */
struct deadlines {
	__u64 until;
	__u64 alive_until;
};

/* What one processor has counted, and how it rations records. */
struct counts {
	__u64 answered_multicast, answered_unicast, redirected;
	__u64 records_lost;
	__u64 window, records; /* since window, which began at that time */
};

/* What the daemon has to hear of an answer. */
struct record {
	struct address target, source;
	__u8 ether[6], asker[6]; /* link-layer addresses: of the frame, and to answer to */
	__u32 multicast;
};

enum {
	RECORD_WINDOW = 100 * 1000 * 1000, /* nanoseconds */
	RECORDS = 2048, /* in a window, on a processor; the daemon keeps 4096 */
};

#define ARRAY_MAP(name, kind, value_type)                                                     \
	struct {                                                                              \
		int (*type)[kind];                                                            \
		int (*max_entries)[1];                                                        \
		__u32 *key;                                                                   \
		value_type *value;                                                            \
	} name SECTION(".maps")

#define OUTER_MAP(name, slots, inner)                                                         \
	struct {                                                                              \
		int (*type)[BPF_MAP_TYPE_ARRAY_OF_MAPS];                                      \
		int (*max_entries)[slots];                                                    \
		int (*key_size)[4];                                                           \
		int (*value_size)[4];                                                         \
		struct inner *values[];                                                       \
	} name SECTION(".maps")

struct facts_map {
	int (*type)[BPF_MAP_TYPE_ARRAY];
	int (*max_entries)[1];
	int (*key_size)[4];
	int (*value_size)[sizeof(struct facts)];
};

struct lines_map {
	int (*type)[BPF_MAP_TYPE_HASH];
	int (*max_entries)[1024];
	int (*map_flags)[BPF_F_NO_PREALLOC];
	int (*key_size)[sizeof(struct key)];
	int (*value_size)[4];
};

struct trie_map {
	int (*type)[BPF_MAP_TYPE_LPM_TRIE];
	int (*max_entries)[1024];
	int (*map_flags)[BPF_F_NO_PREALLOC];
	int (*key_size)[sizeof(struct key)];
	int (*value_size)[4];
};

OUTER_MAP(config, 1, facts_map);
OUTER_MAP(lines, 2, lines_map);
OUTER_MAP(tries, 2, trie_map);
ARRAY_MAP(life, BPF_MAP_TYPE_ARRAY, struct deadlines);
ARRAY_MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, struct counts);

struct {
	int (*type)[BPF_MAP_TYPE_RINGBUF];
	int (*max_entries)[1 << 18];
} records SECTION(".maps");
