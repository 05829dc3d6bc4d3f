// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A frame is a piece of memory and pages, in an skb; on the ring it is segments of guest memory.
 * Both are walked at once.
 */
#include <linux/minmax.h>
#include <linux/skbuff.h>

#include "frame.h"
#include "port.h"

/* ---- guest memory -------------------------------------------------------------------------- */

/* A section, unless it is in one: 0, or as vas_enter(). */
static int access_enter(struct access *access)
{
	int err;

	if (likely(access->is_inside))
		return 0;
	err = vas_enter(access->queue->port->set.vas, access->flags, &access->section);
	access->is_inside = !err;
	return err;
}

/* The binding writes the ring and so is no observer, to whom leaving would tell something. */
void access_leave(struct access *access)
{
	if (access->is_inside)
		vas_leave(&access->section);
	access->is_inside = false;
}

/* What a cache cannot give, in a section of its own: who waits for one must not be in another. */
static int copy_apart(struct access *access, u64 gpa, void *buf, u32 len)
{
	struct vas *vas = access->queue->port->set.vas;
	bool no_sleep = access->flags & VAS_NO_SLEEP;

	access_leave(access);
	if (access->flags & VAS_PROT_WRITE)
		return no_sleep ? vas_copy_to_atomic(vas, gpa, buf, len, NULL) :
				  vas_copy_to(vas, gpa, buf, len, NULL);
	return no_sleep ? vas_copy_from_atomic(vas, gpa, buf, len, NULL) :
			  vas_copy_from(vas, gpa, buf, len, NULL);
}

/* Neighbours in memory each have one; what is far apart is rarely in each other's way. */
static struct vas_cache *cache_of(struct net_queue *queue, u64 gpa)
{
	u64 number = gpa >> PAGE_SHIFT;

	return &queue->caches[(number + number / NR_CACHES * 157) % NR_CACHES];
}

/* No more than a page of the guest's. */
static int copy_in_page(struct access *access, u64 gpa, void *buf, u32 len)
{
	struct vas_cache *cache = cache_of(access->queue, gpa);
	int err = access_enter(access);

	if (unlikely(err))
		return err;
	if (access->flags & VAS_PROT_WRITE)
		err = vas_cache_write_in(cache, &access->section, gpa, buf, len, access->flags);
	else
		err = vas_cache_read_in(cache, &access->section, gpa, buf, len, access->flags);
	if (unlikely(err == -ERANGE || err == -EOPNOTSUPP))
		err = copy_apart(access, gpa, buf, len);
	return err;
}

/* To the guest with VAS_PROT_WRITE, else from it. All, or an error as vas_copy_to()'s. */
int access_copy(struct access *access, u64 gpa, void *buf, u32 len)
{
	int err = 0;

	while (len && !err) {
		u32 nr = min_t(u32, len, PAGE_SIZE - offset_in_page(gpa));

		err = copy_in_page(access, gpa, buf, nr);
		gpa += nr;
		buf += nr;
		len -= nr;
	}
	return err;
}

/* ---- the skb ------------------------------------------------------------------------------- */

void frame_begin(struct frame *frame, struct sk_buff *skb)
{
	*frame = (struct frame){ .skb = skb, .at = skb->data, .left = skb_headlen(skb) };
}

/* Hosts have 64 bits: all pages have an address. */
static bool next_bytes(struct frame *frame)
{
	const struct skb_shared_info *info = skb_shinfo(frame->skb);

	while (!frame->left) {
		if (frame->next_frag == info->nr_frags)
			return false;
		frame->at = skb_frag_address(&info->frags[frame->next_frag]);
		frame->left = skb_frag_size(&info->frags[frame->next_frag]);
		frame->next_frag++;
	}
	return true;
}

/* The next len bytes of the frame are those at gpa: 0; -EPROTO: it has fewer; or an error. */
int frame_copy(struct frame *frame, struct access *access, u64 gpa, u32 len)
{
	while (len) {
		u32 nr;
		int err;

		if (!next_bytes(frame))
			return -EPROTO;
		nr = min(len, frame->left);
		err = access_copy(access, gpa, frame->at, nr);
		if (err)
			return err;
		frame->at += nr;
		frame->left -= nr;
		gpa += nr;
		len -= nr;
	}
	return 0;
}
