/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Bytes of a frame, between an skb and guest memory. */
#ifndef VAS_NET_FRAME_H
#define VAS_NET_FRAME_H

#include <linux/types.h>

#include <linux/vas.h>

struct net_queue;
struct sk_buff;

/**
 * struct access - guest memory, in one section as long as that lasts
 * @queue: whose caches are used
 * @flags: VAS_PROT_WRITE: to the guest; VAS_NO_SLEEP
 * @is_inside: in @section. Never while somebody waits for something: see access_leave()
 * @section: entered at the first copy
 */
struct access {
	struct net_queue *queue;
	u32 flags;
	bool is_inside;
	struct vas_section section;
};

int access_copy(struct access *access, u64 gpa, void *buf, u32 len);
void access_leave(struct access *access);

/**
 * struct frame - where in an skb one is
 * @skb: which
 * @next_frag: of its pages, after these bytes
 * @at: what comes next
 * @left: bytes there
 */
struct frame {
	struct sk_buff *skb;
	u32 next_frag;
	void *at;
	u32 left;
};

void frame_begin(struct frame *frame, struct sk_buff *skb);
int frame_copy(struct frame *frame, struct access *access, u64 gpa, u32 len);

#endif
