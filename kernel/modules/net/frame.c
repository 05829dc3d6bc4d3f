// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A frame is a piece of memory and pages, in an skb; on the ring it is segments of guest memory.
 * Both are walked at once.
 */
#include <linux/minmax.h>
#include <linux/skbuff.h>

#include "port.h"

static struct vas_cache *cache_of(struct net_queue *queue, u64 gpa)
{
	return &queue->caches[(gpa >> PAGE_SHIFT) % NR_CACHES];
}

/* Within a page, by its cache; more at once by what goes through a section once. */
static bool is_in_page(u64 gpa, u32 len)
{
	return offset_in_page(gpa) + len <= PAGE_SIZE;
}

/* As vas_copy_from(), all or an error. */
int net_read(struct net_queue *queue, u64 gpa, void *to, u32 len)
{
	if (is_in_page(gpa, len))
		return vas_cache_read(cache_of(queue, gpa), gpa, to, len, 0);
	return vas_copy_from(queue->port->set.vas, gpa, to, len, NULL);
}

/* As vas_copy_to(), all or an error. */
int net_write(struct net_queue *queue, u64 gpa, const void *from, u32 len)
{
	if (is_in_page(gpa, len))
		return vas_cache_write(cache_of(queue, gpa), gpa, from, len, 0);
	return vas_copy_to(queue->port->set.vas, gpa, from, len, NULL);
}

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

/* Fill the skb from the segments, which have no more bytes than it: 0, or as net_read(). */
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
			int err = to ? net_read(queue, gpa, to, len) : -EPROTO;

			if (err)
				return err;
			gpa += len;
			left -= len;
		}
	}
	return 0;
}
