/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * /dev/vas_test: the in-kernel interface, one call an ioctl, for test programs. An open file is a
 * session: at most one binding, its maps, and how it behaves when they are requested back. Results
 * of the calls are the ioctl's: 0 or errno.
 */
#ifndef VAS_TEST_H
#define VAS_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VAS_TEST_MAX_LEN (16u << 20) /* of one copy */
#define VAS_TEST_MAX_LIMIT \
	(256u << 20) /* of a vas, for copies beyond that: nothing goes in or out */
#define VAS_TEST_MAX_MAPS 64u

/* Where a call is made. */
enum vas_test_context {
	VAS_TEST_SELF,	     /* in the caller's system call */
	VAS_TEST_KTHREAD,    /* in a kernel thread */
	VAS_TEST_KTHREAD_MM, /* in a kernel thread that has borrowed the binder's mm */
	VAS_TEST_WORKQUEUE,  /* in a work queue */
	VAS_TEST_IRQ_OFF,    /* in the system call, interrupts off: atomic copies only */
	VAS_TEST_NR_CONTEXTS
};

#define VAS_TEST_WRITE	1u
#define VAS_TEST_ATOMIC 2u
#define VAS_TEST_CACHED 4u /* through the session's cache */

struct vas_test_copy {
	__u64 gpa;
	__u64 buf;
	__u64 len;
	__u64 done; /* out; CACHED: not set */
	__u32 flags;
	__u32 context;
};

struct vas_test_map {
	__u64 gpa;
	__u64 len;
	__u32 flags; /* VAS_MAPPING_* */
	__u32 id;    /* out */
};

struct vas_test_map_access {
	__u32 id;
	__u32 flags; /* VAS_TEST_WRITE */
	__u64 offset;
	__u64 buf;
	__u64 len;
};

struct vas_test_range {
	__u64 gpa;
	__u64 len;
};

/* What a session does when the owner asks for its maps. */
enum vas_test_policy {
	VAS_TEST_COMPLY, /* unmap, or be quiet, in the op itself */
	VAS_TEST_REFUSE, /* nothing */
	VAS_TEST_UNMAP,	 /* unmap, even if quiet would do */
	VAS_TEST_HANG, /* stay in the op until the policy changes, but not for ever; then refuse */
};

#define VAS_TEST_LONGEST_HANG 15 /* seconds */

struct vas_test_counts {
	__u64 invalidated;
	__u64 quiesced;
	__u64 resumed;
	__u64 released;	       /* bindings that ended, in all sessions */
	__u64 last_timeout_ns; /* what the last deadline allowed */
};

struct vas_test_info {
	__u32 readonly;
	__u32 nr_maps;
	__u64 limit;
};

/* A load: a kernel thread that writes and reads back, over and over. */
enum vas_test_load_kind {
	VAS_TEST_LOAD_COPY,
	VAS_TEST_LOAD_CACHE,
	VAS_TEST_LOAD_MAP,
	VAS_TEST_LOAD_SECTION, /* just be in a section until the load is stopped */
};

struct vas_test_load {
	__u64 gpa;
	__u64 len;
	__u32 kind;
	__u32 seed;
};

struct vas_test_load_result {
	__u64 done;   /* rounds that worked */
	__u64 faults; /* rounds that ended in -EFAULT: the range was gone */
	__u64 again;  /* in -EAGAIN: frozen, or in the way of a change */
	__u64 wrong;  /* rounds that read what they had not written */
	__s32 err;    /* any other error, the first */
	__u32 pad;
};

/* One scatterlist a session. */
struct vas_test_sg {
	__u64 ranges; /* struct vas_test_range[nr] */
	__u32 nr;
	__u32 flags; /* VAS_MAPPING_* */
	__u32 max_segment;
	__u32 nr_entries; /* out */
};

struct vas_test_sg_access {
	__u64 offset; /* in the list */
	__u64 buf;
	__u64 len;
	__u32 flags; /* VAS_TEST_WRITE */
	__u32 pad;
};

/* One doorbell a session: each time it rings, it is counted and the interrupt is raised. */
struct vas_test_doorbell {
	__s32 doorbell_fd;
	__s32 irq_fd;
	__u32 flags; /* VAS_DOORBELL_* */
	__u32 pad;
};

struct vas_test_event {
	__u32 id;
	__u32 kind; /* out, as are the following */
	__u64 addr;
	char name[24];
};

struct vas_test_hva {
	__u64 gpa;
	__u64 size;
	__u64 hva;
};

enum vas_test_field_op {
	VAS_TEST_LOAD_FIELD,
	VAS_TEST_STORE_FIELD,
	VAS_TEST_ADD_FIELD,
	VAS_TEST_OR_FIELD,
	VAS_TEST_AND_FIELD,
	VAS_TEST_EXCHANGE_FIELD,
	VAS_TEST_CMPXCHG_FIELD,
};

struct vas_test_field {
	__u64 gpa;
	__u64 value; /* in; out: what was there */
	__u64 other; /* CMPXCHG: in: expected; out: what was there */
	__u32 width;
	__u32 op;
};

struct vas_test_regions {
	__u64 gpa;
	__u64 regions; /* struct vas_region_entry[nr] */
	__u32 nr;
	__u32 at_gpa; /* just the one that holds gpa */
};

#define VAS_TEST_MAX_REGIONS 4096u

/* Codes: see <linux/vas.h>. */
#define VAS_TEST_MAGIC	       0xe8
#define VAS_TEST_BIND	       _IOW(VAS_TEST_MAGIC, 0x80, __s32)
#define VAS_TEST_UNBIND	       _IO(VAS_TEST_MAGIC, 0x81)
#define VAS_TEST_COPY	       _IOWR(VAS_TEST_MAGIC, 0x82, struct vas_test_copy)
#define VAS_TEST_MAP	       _IOWR(VAS_TEST_MAGIC, 0x83, struct vas_test_map)
#define VAS_TEST_UNMAP_ID      _IOW(VAS_TEST_MAGIC, 0x84, __u32)
#define VAS_TEST_MAP_ACCESS    _IOW(VAS_TEST_MAGIC, 0x85, struct vas_test_map_access)
#define VAS_TEST_MARK	       _IOW(VAS_TEST_MAGIC, 0x86, struct vas_test_range)
#define VAS_TEST_OFFER	       _IOW(VAS_TEST_MAGIC, 0x87, __s32)
#define VAS_TEST_POLICY	       _IOW(VAS_TEST_MAGIC, 0x88, __u32)
#define VAS_TEST_COUNTS	       _IOR(VAS_TEST_MAGIC, 0x89, struct vas_test_counts)
#define VAS_TEST_INFO	       _IOR(VAS_TEST_MAGIC, 0x8a, struct vas_test_info)
#define VAS_TEST_LOAD	       _IOW(VAS_TEST_MAGIC, 0x8b, struct vas_test_load)
#define VAS_TEST_LOAD_STOP     _IOR(VAS_TEST_MAGIC, 0x8c, struct vas_test_load_result)
#define VAS_TEST_ATTACHED      _IOW(VAS_TEST_MAGIC, 0x8d, __u32) /* id: 0, or ESTALE */
#define VAS_TEST_SG_MAP	       _IOWR(VAS_TEST_MAGIC, 0x8e, struct vas_test_sg)
#define VAS_TEST_SG_ACCESS     _IOW(VAS_TEST_MAGIC, 0x8f, struct vas_test_sg_access)
#define VAS_TEST_SG_UNMAP      _IO(VAS_TEST_MAGIC, 0x90)
#define VAS_TEST_DOORBELL      _IOW(VAS_TEST_MAGIC, 0x91, struct vas_test_doorbell)
#define VAS_TEST_DOORBELL_STOP _IOR(VAS_TEST_MAGIC, 0x92, __u64) /* how often it rang */
#define VAS_TEST_EVENT	       _IOWR(VAS_TEST_MAGIC, 0x93, struct vas_test_event)
#define VAS_TEST_HVA	       _IOW(VAS_TEST_MAGIC, 0x94, struct vas_test_hva)
#define VAS_TEST_REGIONS       _IOW(VAS_TEST_MAGIC, 0x96, struct vas_test_regions)
#define VAS_TEST_FIELD	       _IOWR(VAS_TEST_MAGIC, 0x95, struct vas_test_field)

#endif
