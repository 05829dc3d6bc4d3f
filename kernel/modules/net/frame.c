// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A frame is a piece of memory and pages, in an skb; on the ring it is segments of guest memory.
 * Both are walked at once.
 */
#include <linux/minmax.h>
#include <linux/skbuff.h>

#include "port.h"

void frame_begin(struct frame *frame, struct sk_buff *skb)
{
	*frame = (struct frame){ .skb = skb, .frag = -1 };
}

/* What comes next, at most *len bytes of it, in *len; NULL at the end. */
void *frame_next(struct frame *frame, u32 *len)
{
	struct sk_buff *skb = frame->skb;
	u32 size = skb_headlen(skb), at = frame->at;

	if (frame->frag >= 0)
		size = skb_frag_size(&skb_shinfo(skb)->frags[frame->frag]);
	while (at == size) {
		if (++frame->frag >= skb_shinfo(skb)->nr_frags)
			return NULL;
		size = skb_frag_size(&skb_shinfo(skb)->frags[frame->frag]);
		at = 0;
	}
	*len = min(*len, size - at);
	frame->at = at + *len;
	if (frame->frag < 0)
		return skb->data + at;
	/* Hosts have 64 bits: all pages have an address. */
	return skb_frag_address(&skb_shinfo(skb)->frags[frame->frag]) + at;
}

/* Fill the skb from the segments, which have no more bytes than it: 0, or as vas_cache_read(). */
int frame_read(struct net_queue *queue, const struct vas_virtq_segment *segments, u32 nr,
	       struct sk_buff *skb)
{
	struct frame frame;
	u32 i;

	frame_begin(&frame, skb);
	for (i = 0; i < nr; i++) {
		u64 gpa = segments[i].gpa;
		u32 left = segments[i].len;

		while (left) {
			u32 len = left;
			void *to = frame_next(&frame, &len);
			int err = to ? vas_cache_read(&queue->cache, gpa, to, len, 0) : -EPROTO;

			if (err)
				return err;
			gpa += len;
			left -= len;
		}
	}
	return 0;
}
