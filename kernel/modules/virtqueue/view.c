// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "view.h"

#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "queue.h"

#define ANSWER_IN   (10 * HZ) /* or the queue breaks */
#define RETRY_AFTER (HZ / 100 ?: 1)
#define MAX_RETRIES 100	  /* of a search that meets changes; then it takes the lock */
#define MAX_ANSWERS 16	  /* that do not help, to one question */
#define MAX_ASKED   32768 /* without any progress */
#define PROT_ALL    (VAS_QUEUE_READ | VAS_QUEUE_WRITE)

/* ---- the view ----------------------------------------------------------------------------- */

static int init_map(struct vas_iova_map *map, u32 max)
{
	u32 nr = vas_iova_map_leaves(max);
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;

	map->max = max;
	map->leaves = kvmalloc_array(nr, sizeof(*map->leaves), gfp);
	map->root = kvmalloc_array(nr, sizeof(*map->root), gfp);
	map->free = kvmalloc_array(nr, sizeof(*map->free), gfp);
	if (!map->leaves || !map->root || !map->free)
		return -ENOMEM;
	vas_iova_map_init(map);
	return 0;
}

/* NULL: there is no memory for so many. */
struct view *view_create(const struct vas_queue_view *options, wait_queue_head_t *asked)
{
	struct view *view = kvzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);
	u32 i;

	if (!view)
		return NULL;
	if (init_map(&view->map, options->max_entries)) {
		view_destroy(view);
		return NULL;
	}
	seqlock_init(&view->lock);
	INIT_LIST_HEAD(&view->questions);
	INIT_LIST_HEAD(&view->untold);
	INIT_LIST_HEAD(&view->told);
	INIT_LIST_HEAD(&view->unused);
	for (i = 0; i < VIEW_MISSES; i++)
		list_add_tail(&view->misses[i].node, &view->unused);
	view->generation = 1;
	view->asked = asked;
	view->has_deadline = !(options->flags & VAS_QUEUE_NO_DEADLINE);
	return view;
}

/* May be NULL. No queue has it any more. */
void view_destroy(struct view *view)
{
	if (!view)
		return;
	kvfree(view->map.leaves);
	kvfree(view->map.root);
	kvfree(view->map.free);
	kvfree(view);
}

static void lock_view(struct view *view)
{
	read_seqlock_excl_bh(&view->lock);
}

static void unlock_view(struct view *view)
{
	read_sequnlock_excl_bh(&view->lock);
}

static u32 prot_of(u32 write)
{
	return write ? VAS_QUEUE_WRITE : VAS_QUEUE_READ;
}

/* ---- searching ---------------------------------------------------------------------------- */

static bool find(struct view *view, u64 iova, struct vas_iova_range *found)
{
	bool has_it;
	int i;

	for (i = 0; i < MAX_RETRIES; i++) {
		unsigned int sequence = read_seqbegin(&view->lock);

		has_it = vas_iova_map_find(&view->map, iova, found);
		if (!read_seqretry(&view->lock, sequence))
			return has_it;
	}
	/* Somebody changes it without end. */
	lock_view(view);
	has_it = vas_iova_map_find(&view->map, iova, found);
	unlock_view(view);
	return has_it;
}

/* As struct vas_virtq_iommu's: -EFAULT: it is not there, or not to be used so. */
int view_find(struct view *view, u64 iova, u32 write, u64 *len, u64 *gpa)
{
	struct vas_iova_range range;

	if (!find(view, iova, &range) || prot_of(write) & ~range.prot)
		return -EFAULT;
	*gpa = range.gpa + (iova - range.iova);
	if (*len - 1 > range.last - iova)
		*len = range.last - iova + 1;
	return 0;
}

/* Under the lock. */
static bool is_mapped(const struct view *view, u64 iova, u32 write)
{
	struct vas_iova_range range;

	return vas_iova_map_find(&view->map, iova, &range) && !(prot_of(write) & ~range.prot);
}

/* ---- misses, all under the lock ----------------------------------------------------------- */

static struct view_miss *find_miss(struct list_head *list, u64 iova, u32 write)
{
	struct view_miss *miss;

	list_for_each_entry(miss, list, node)
		if (miss->iova == iova && miss->write == write)
			return miss;
	return NULL;
}

/* Of one that has no answer for so long nobody may hear any more. */
static bool has_expired(const struct view_miss *miss)
{
	return time_after(jiffies, miss->until);
}

static struct view_miss *take_room(struct view *view)
{
	struct view_miss *miss = list_first_entry_or_null(&view->unused, struct view_miss, node);

	if (miss)
		return miss;
	miss = list_first_entry_or_null(&view->told, struct view_miss, node);
	return miss && has_expired(miss) ? miss : NULL;
}

/* 1: the user will be told; 0: has been, and may be about to answer; -EAGAIN: there is no room. */
static int add_miss(struct view *view, u64 iova, u32 write)
{
	struct view_miss *miss;

	if (find_miss(&view->untold, iova, write))
		return 1;
	miss = find_miss(&view->told, iova, write);
	if (miss && !has_expired(miss))
		return 0;
	if (!miss)
		miss = take_room(view);
	if (!miss)
		return -EAGAIN;
	miss->iova = iova;
	miss->write = write;
	list_move_tail(&miss->node, &view->untold);
	return 1;
}

static void drop_misses(struct view *view, struct list_head *list, u64 iova, u64 last)
{
	struct view_miss *miss, *next;

	list_for_each_entry_safe(miss, next, list, node)
		if (iova <= miss->iova && miss->iova <= last)
			list_move(&miss->node, &view->unused);
}

/* A no to what was told for somebody else, and before, is none to this one. */
static void answer(struct view *view, u64 iova, u64 last, enum view_state state)
{
	struct view_question *question, *next;

	drop_misses(view, &view->untold, iova, last);
	drop_misses(view, &view->told, iova, last);
	list_for_each_entry_safe(question, next, &view->questions, node) {
		if (question->iova < iova || question->iova > last)
			continue;
		list_del_init(&question->node);
		question->state =
			state == VIEW_REFUSED && !question->is_own ? VIEW_NOT_SENT : state;
		question->nr_answers +=
			state == VIEW_ANSWERED && !is_mapped(view, question->iova, question->write);
		vas_queue_wake(question->queue);
	}
}

/* ---- for queues --------------------------------------------------------------------------- */

/* It will be missed soon: the user hears of it by the view_request() that follows. */
void view_want(struct view *view, u64 iova, u32 write)
{
	lock_view(view);
	if (!is_mapped(view, iova, write))
		add_miss(view, iova, write);
	unlock_view(view);
}

/* Under the lock. */
static void put(struct view *view, struct view_question *question)
{
	int result;

	if (question->state == VIEW_ANSWERED && question->nr_answers >= MAX_ANSWERS)
		question->state = VIEW_REFUSED;
	if (question->state == VIEW_SENT || question->state == VIEW_REFUSED)
		return;
	result = add_miss(view, question->iova, question->write);
	question->nr_asked += result >= 0;
	question->state = result < 0 ? VIEW_NOT_SENT : VIEW_SENT;
	question->is_own = result > 0;
	if (result >= 0)
		list_add_tail(&question->node, &view->questions);
}

/* Under the lock: how long there is to wait, at most, or why it makes no sense to. */
static long time_left(const struct view *view, const struct view_question *question)
{
	if (question->state == VIEW_REFUSED || question->nr_asked > MAX_ASKED)
		return -EFAULT;
	if (view->has_deadline && time_after(jiffies, question->deadline))
		return -ETIMEDOUT;
	if (question->state != VIEW_SENT)
		return RETRY_AFTER;
	return view->has_deadline ? question->deadline - jiffies + 1 : ANSWER_IN;
}

static void settle(struct view_question *question)
{
	list_del_init(&question->node);
	question->state = VIEW_NOTHING;
}

/*
 * The user is asked, unless it was already; the queue is woken by an answer. The same question once
 * more is the same, until it is settled.
 *
 * Return: for how many jiffies to sleep, at most, before this is called again; -EFAULT: the answer
 * is no, or those that come are none; -ETIMEDOUT: none has come.
 */
long view_request(struct view *view, struct view_question *question, u64 iova, u32 write)
{
	long result = 0;

	lock_view(view);
	if (question->state == VIEW_NOTHING || question->iova != iova || question->write != write) {
		settle(question);
		question->state = VIEW_NOT_SENT;
		question->iova = iova;
		question->write = write;
		question->nr_answers = 0;
		question->deadline = jiffies + ANSWER_IN;
	}
	/* It may have come since it was missed. */
	if (!is_mapped(view, iova, write)) {
		put(view, question);
		result = time_left(view, question);
	}
	unlock_view(view);
	wake_up_interruptible_poll(view->asked, EPOLLIN | EPOLLRDNORM);
	return result;
}

/* It is of no interest any more. */
void view_settle(struct view *view, struct view_question *question)
{
	lock_view(view);
	settle(question);
	unlock_view(view);
}

/* ---- for the user ------------------------------------------------------------------------- */

/* Under the lock: what is there says the same of all of the range, and allows as much. */
static bool is_there(const struct view *view, const struct vas_iova_range *range)
{
	struct vas_iova_range found;

	return vas_iova_map_find(&view->map, range->iova, &found) && found.last >= range->last &&
	       found.gpa - found.iova == range->gpa - range->iova && !(range->prot & ~found.prot);
}

int view_map(struct view *view, u64 iova, u64 size, u64 gpa, u32 prot)
{
	const struct vas_iova_range range = { iova, iova + (size - 1), gpa, prot };
	int err;

	if (!size || range.last < iova || gpa + (size - 1) < gpa || !prot || prot & ~PROT_ALL)
		return -EINVAL;
	write_seqlock_bh(&view->lock);
	err = vas_iova_map_add(&view->map, &range);
	if (err == -EEXIST && is_there(view, &range))
		err = 0;
	if (!err)
		answer(view, iova, range.last, VIEW_ANSWERED);
	write_sequnlock_bh(&view->lock);
	return err;
}

/* The generation that sections must have which are not waited for. */
u64 view_unmap(struct view *view, u64 iova, u64 size)
{
	u64 last = iova + (size - 1), generation;

	if (!size || last < iova)
		last = U64_MAX;
	write_seqlock_bh(&view->lock);
	generation = view->generation;
	if (vas_iova_map_remove(&view->map, iova, last))
		generation++;
	/* The map first: partner: view_generation(). */
	smp_store_release(&view->generation, generation);
	/* Whatever the user was told, he may have forgotten with it. */
	if (!iova && last == U64_MAX)
		answer(view, 0, U64_MAX, VIEW_NOT_SENT);
	write_sequnlock_bh(&view->lock);
	return generation;
}

void view_refuse(struct view *view, u64 iova)
{
	lock_view(view);
	answer(view, iova, iova, VIEW_REFUSED);
	unlock_view(view);
}

/* The next one that the user has not heard of; false: there is none. */
bool view_tell(struct view *view, u64 *iova, u32 *write)
{
	struct view_miss *miss;

	lock_view(view);
	miss = list_first_entry_or_null(&view->untold, struct view_miss, node);
	if (miss) {
		*iova = miss->iova;
		*write = miss->write;
		miss->until = jiffies + ANSWER_IN;
		list_move_tail(&miss->node, &view->told);
	}
	unlock_view(view);
	return miss;
}

bool view_has_misses(struct view *view)
{
	bool result;

	lock_view(view);
	result = !list_empty(&view->untold);
	unlock_view(view);
	return result;
}
