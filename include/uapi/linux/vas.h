/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * /dev/vas: how the owner of a vas freezes the kernel modules that are bound to it, and gets ranges
 * back from them. An fd is attached to one vas:
 *
 *	owner                      /dev/vas                    modules
 *	VAS_KO_ATTACH -----------> is the process the owner?
 *	VAS_KO_PREPARE ----------> no new maps in the ranges
 *	                           asks those who have maps -> invalidate(): they unmap
 *	          0, or -EBUSY <-- all gone, or the deadline
 *	(publishes its layout)
 *	VAS_KO_COMMIT, or ABORT -> maps are possible again
 *	VAS_KO_FREEZE -----------> no new writes, waits for
 *	                           those that are under way
 *	                           asks writable maps ------> quiesce()
 *	          0, or -EBUSY <-- all quiet, or the deadline
 *	VAS_KO_THAW -------------> writes go on ------------> resume()
 *
 * With VAS_KO_NOWAIT, PREPARE and FREEZE only begin, and return VAS_KO_UNDER_WAY, unless nobody is
 * in the way. The fd polls readable (POLLIN) when there may be news; VAS_KO_FINISH then returns 0,
 * or VAS_KO_UNDER_WAY and who is in the way. The deadline is for the modules to know, and the
 * caller's to enforce: ABORT and THAW end what is under way as well.
 *
 * Closing the fd aborts, thaws and detaches.
 */
#ifndef _UAPI_LINUX_VAS_H
#define _UAPI_LINUX_VAS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VAS_KO_NAME_LEN	  24
#define VAS_KO_MAX_RANGES (1u << 20)

struct vas_ko_range {
	__u64 gpa;
	__u64 size;
};

/* Results besides 0 and -1. */
#define VAS_KO_UNDER_WAY 1

/* vas_ko_prepare.flags, vas_ko_freeze.flags */
#define VAS_KO_NOWAIT 1u

/*
 * Who was or is in the way: the module, the process that has bound it (0: not known), and the map.
 * If size is 0, an access of the module has not ended; an empty name: not known whose.
 */
struct vas_ko_blocker {
	__u64 gpa;
	__u64 size;
	__u32 pid;
	__u32 pad;
	char name[VAS_KO_NAME_LEN];
};

struct vas_ko_attach {
	__s32 fd;    /* any of the vas; the calling process must be its owner */
	__u32 flags; /* 0 */
};

struct vas_ko_prepare {
	__u64 ranges; /* user address of struct vas_ko_range[nr], what the change takes away */
	__u32 nr;
	__u32 flags; /* VAS_KO_NOWAIT */
	__u64 timeout_ns;
	struct vas_ko_blocker blocker; /* out */
};

struct vas_ko_freeze {
	__u32 flags; /* VAS_KO_NOWAIT */
	__u32 pad;   /* 0 */
	__u64 timeout_ns;
	struct vas_ko_blocker blocker; /* out */
};

struct vas_ko_finish {
	struct vas_ko_blocker blocker; /* out */
};

struct vas_ko_info {
	__u32 nr_bindings;
	__u32 nr_mappings;
	__u32 frozen;
	__u32 prepared;
};

/*
 * 0xe8 is nobody's in the kernel's Documentation/userspace-api/ioctl/ioctl-number.rst. 00-1f are
 * /dev/vas's, the modules that come with vas.ko have the rest: 20-2f vas_blk, 30-3f vas_dma,
 * 40-4f vas_example, 50-5f vas_bench, 60-6f vas_net, 80-bf vas_test.
 */
#define VAS_KO_MAGIC   0xe8
#define VAS_KO_ATTACH  _IOW(VAS_KO_MAGIC, 0, struct vas_ko_attach)
#define VAS_KO_PREPARE _IOWR(VAS_KO_MAGIC, 1, struct vas_ko_prepare)
#define VAS_KO_COMMIT  _IO(VAS_KO_MAGIC, 2)
#define VAS_KO_ABORT   _IO(VAS_KO_MAGIC, 3)
#define VAS_KO_FREEZE  _IOWR(VAS_KO_MAGIC, 4, struct vas_ko_freeze)
#define VAS_KO_THAW    _IO(VAS_KO_MAGIC, 5)
#define VAS_KO_INFO    _IOR(VAS_KO_MAGIC, 6, struct vas_ko_info)
#define VAS_KO_FINISH  _IOR(VAS_KO_MAGIC, 7, struct vas_ko_finish)

#endif
