/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A subject is one way to get at a vas: which kind of file, through which handle, from where. A rule
 * is what every subject that can do it must do. A rule's file holds one RULE() named as the file:
 *
 *	RULE(a_hole_stops_a_read_and_says_where, CAN_READ)
 *	{
 *		...
 *	}
 *
 * The rule arranges the layout through `owner`, in units (the file's page size), and does all its
 * accesses through the subject_*() calls. A new implementation adds a struct subject_kind with
 * its own bind, call and unbind; no rule changes.
 */
#ifndef TESTS_CONTRACT_SUBJECT_H
#define TESTS_CONTRACT_SUBJECT_H

#include <vas/access.h>
#include <vas/event.h>
#include <vas/share.h>
#include <vas/vas.h>

#include "tests/harness.h"
#include "request.h"

#define CAN_READ    1u
#define CAN_WRITE   2u
#define CAN_FILL    4u
#define CAN_COMPARE 8u
#define CAN_SEARCH  16u
#define CAN_FIELD   32u /* load; store and read-modify-write with CAN_WRITE */
#define CAN_VECTORS 64u
#define CAN_MAP	    128u
#define CAN_PIN	    256u /* its maps are recorded */
#define CAN_LIST    512u
#define CAN_OFFER   1024u /* takes a further backing's fd */
#define CAN_NOTIFY  2048u
#define CAN_REBIND  4096u   /* binds whatever fd it is given; the owner's own handle does not */
#define CAN_OBSERVE 8192u   /* it is an observer, and no more */
#define CAN_RECEIVE 16384u  /* it was sent the vas with all that belongs to it */
#define CAN_LOCAL   32768u  /* it is the owner's process: it sees local memory */
#define CAN_SPARSE  65536u  /* small pages, offset = gpa: layouts of any shape */
#define CAN_FREE    131072u /* its regions lie in the vas's own file, whose memory is given back */
#define CAN_KEEP    262144u /* ... in a further file, which keeps what was written */

#define CAN_WHOLE 524288u /* all its memory is there: its layout may change, its owner may end */

#define CAN_WHOLE_CHANGE 2097152u /* a change shows whole to it, without holes on the way */

#define CAN_PEEK 1048576u /* vas_peek() and vas_poke(), which are the library's */

#define CAN_ACCESS (CAN_READ | CAN_FILL | CAN_COMPARE | CAN_SEARCH | CAN_FIELD | CAN_VECTORS)
#define CAN_ALL_READ \
	(CAN_ACCESS | CAN_MAP | CAN_LIST | CAN_OFFER | CAN_NOTIFY | CAN_WHOLE | CAN_WHOLE_CHANGE)
#define CAN_ALL_WRITE (CAN_ALL_READ | CAN_WRITE | CAN_PIN)

/* subject_kind.fills: its memory is lazy: it comes as it is touched; the rest of it meanwhile, too. */
#define FILLED_ON_TOUCH	 1u
#define FILLED_BY_ITSELF 2u

/* FILE_SHARE: the subject has a share of the owner's, which has the backing. */
enum subject_file { FILE_SPARSE, FILE_COMPACT, FILE_BACKING, FILE_SHARE };

struct subject;

struct subject_ops {
	/* Bind to what fd is (not kept): 0 or -errno. */
	int (*bind)(struct subject *s, int fd);
	void (*unbind)(struct subject *s);
	/* Do the request and fill in its result; s->data is the buffer both ways. */
	void (*call)(struct subject *s, struct request *r);
};

struct subject_kind {
	const char *name;
	uint32_t can;
	uint32_t create_flags; /* VAS_CREATE_* */
	enum subject_file file;
	uint32_t bind_flags; /* VAS_BIND_* */
	uint32_t fills;	     /* FILLED_* */
	uint64_t unit;	     /* 0: as large as the file's pages */
	const struct subject_ops *ops;
	void (*require)(void); /* skips if this machine lacks something; may be NULL */
};

struct subject {
	const struct subject_kind *kind;
	struct vas *owner;
	struct vas *share; /* FILE_SHARE, else NULL */
	uint64_t unit;	   /* the smallest region */
	uint64_t limit;
	uint64_t ram_size;
	uint64_t next_offset; /* of the next region that place() makes in the file or backing */
	uint32_t backing;
	int backing_fd;
	struct lazy *lazy; /* lazy.c's */
	uint8_t *data;	   /* REQUEST_DATA_MAX bytes, for requests */
	/* The ops' own: */
	struct vas *handle;
	int sock;
	int pid;
};

struct rule {
	const char *name;
	uint32_t needs;
	void (*run)(struct subject *s);
	struct rule *next;
};

void rule_register(struct rule *rule);

#define RULE(name, needs)                                              \
	static void name(struct subject *s);                           \
	static struct rule rule_##name = { #name, needs, name, NULL }; \
	__attribute__((constructor)) static void register_##name(void) \
	{                                                              \
		rule_register(&rule_##name);                           \
	}                                                              \
	static void name(struct subject *s)

extern const struct subject_kind subject_kinds[];
extern const size_t nr_subject_kinds;

/* local.c: requests on a handle of this process; remote.c: sent to another one. */
extern const struct subject_ops subject_owner, subject_handle, subject_process, subject_sent;
void request_execute(struct vas *vas, struct request *r);

/* fixture.c: a vas with 64 units below its limit and an empty layout, and a subject bound to it. */
void subject_open(struct subject *s, const struct subject_kind *kind);
void subject_close(struct subject *s);
/* Bind again, to another fd, or to the same vas with fd -1. */
int subject_rebind(struct subject *s, int fd);

/* Add a region of nr units at unit `at`; its id. place_flags: VAS_REGION_*. */
uint64_t place(struct subject *s, uint64_t at, uint64_t nr);
uint64_t place_flags(struct subject *s, uint64_t at, uint64_t nr, uint32_t flags);
/* The region that place() would add, for a transaction; takes its room in the file. */
struct vas_region place_prepare(struct subject *s, uint64_t at, uint64_t nr);

/* lazy.c: for calls.c and fixture.c. */
void lazy_open(struct subject *s);
void lazy_close(struct subject *s);
uint64_t lazy_place(struct subject *s, const struct vas_region *region);
int lazy_keep(struct subject *s, uint64_t gpa, const void *buf, size_t len);
void lazy_settle(struct subject *s);

/* What was placed and written holds from here on, for a rule that uses s->owner itself. */
void arranged(struct subject *s);

/* The owner's view of guest memory, to arrange and to check with: no failure is expected. */
void owner_write(struct subject *s, uint64_t gpa, const void *buf, size_t len);
void owner_read(struct subject *s, uint64_t gpa, void *buf, size_t len);
void owner_store8(struct subject *s, uint64_t gpa, uint8_t byte);
uint8_t owner_load8(struct subject *s, uint64_t gpa);
/* A pattern that depends on gpa and salt: bytes far and near differ. */
void pattern_make(uint8_t *buf, uint64_t gpa, size_t len, uint64_t salt);
void owner_pattern(struct subject *s, uint64_t gpa, uint64_t len, uint64_t salt);

/* calls.c: the requests as functions; results and errors as in <vas/vas.h>. */
int subject_read(struct subject *s, uint64_t gpa, void *buf, size_t len, size_t *done);
int subject_peek(struct subject *s, uint64_t gpa, void *buf, size_t len, size_t *done);
int subject_poke(struct subject *s, uint64_t gpa, const void *buf, size_t len, size_t *done);
int subject_write(struct subject *s, uint64_t gpa, const void *buf, size_t len, size_t *done);
int subject_fill(struct subject *s, uint64_t gpa, uint8_t byte, size_t len, size_t *done);

struct comparison {
	int order;
	size_t done;
};
int subject_compare(struct subject *s, uint64_t gpa, const void *buf, size_t len,
		    struct comparison *result);
int subject_search(struct subject *s, uint64_t gpa, uint64_t len, const struct vas_pattern *pattern,
		   uint64_t *found);
int subject_load(struct subject *s, uint64_t gpa, unsigned int width, uint64_t *val);
int subject_store(struct subject *s, uint64_t gpa, unsigned int width, uint64_t val);
/* op: REQ_ADD ... REQ_EXCHANGE; *val is the operand, then the old value. */
int subject_rmw(struct subject *s, enum request_op op, uint64_t gpa, unsigned int width,
		uint64_t *val);
int subject_cmpxchg(struct subject *s, uint64_t gpa, unsigned int width, uint64_t *expected,
		    uint64_t desired);

struct vectors {
	uint32_t prot;
	int room;
	uint64_t lens[64];
	const uint8_t *bytes; /* what the vectors hold; valid until the next request */
};
int subject_vectors(struct subject *s, uint64_t gpa, uint64_t len, struct vectors *v);

int subject_map(struct subject *s, uint64_t gpa, uint64_t len, uint32_t flags, uint64_t *map);
int subject_map_read(struct subject *s, uint64_t map, uint64_t at, void *buf, size_t len);
int subject_map_write(struct subject *s, uint64_t map, uint64_t at, const void *buf, size_t len);
int subject_unmap(struct subject *s, uint64_t map);
int subject_request(struct subject *s, uint64_t map);
int subject_regions(struct subject *s, struct vas_region_entry *entries, unsigned int nr);
int subject_region_at(struct subject *s, uint64_t gpa, struct vas_region_entry *entry);
int subject_offer(struct subject *s, int fd);
int subject_notified(struct subject *s, unsigned int timeout_ms);
/* The id of the event so named; *count: how often it rang since the last call. */
int64_t subject_event(struct subject *s, const char *name, uint64_t *count);

#endif
