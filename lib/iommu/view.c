// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Views of devices through an IOMMU: docs/design/iommu.md.
 *
 * Two things are told apart. The *sequence* is a seqlock's: a search that met a change is done
 * again. The *generation* is what sections are about: I1 to I5 of an invalidation wait for those
 * that have begun before it, as P2 to P5 of a layout's change do.
 */
#include "lib/iommu/view.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/iova_map.h"
#include "core/range.h"
#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/deadline.h"
#include "lib/base/error.h"
#include "lib/base/futex.h"
#include "lib/handle/barrier.h"

#define SPINS	    2000
#define BEHIND_NS   1000000 /* for the owner's last unmaps to be done, before a section */
#define MAX_RETRIES 100	    /* of a search that meets changes; then it waits for the lock */
#define MAX_ANSWERS 16	    /* that do not help, to one question */
#define RETRY_MS    5	    /* where the owner could not be asked */
#define MAX_POLL_MS 1000
#define PROT_ALL    (VAS_IOMMU_READ | VAS_IOMMU_WRITE)

enum question { NO_QUESTION, NOT_SENT, SENT, ANSWERED, REFUSED };

struct vas_iommu_slot {
	/* Of the section that its thread is in, or 0. Its thread writes it, invalidations read. */
	uint64_t generation __attribute__((aligned(64)));
	struct vas_iommu_view *view;
	int fd;		/* -1: nobody has claimed it */
	bool is_asking; /* its thread's: the question has led to no translation yet */

	/* Under the view's lock; iova and prot are read by its thread without. */
	enum question question;
	bool is_raised; /* fd */
	bool is_own;	/* the owner was asked for this one: it is what a no is an answer to */
	uint64_t iova;
	uint32_t prot;
	uint32_t nr_answers;
	struct deadline deadline;
};

struct vas_iommu_view {
	uint64_t generation;
	uint32_t sequence; /* odd while the map is being changed */
	/*
	 * How often something was unmapped; and of that, how much no section uses any more, which
	 * only goes up. Atomic.
	 */
	uint64_t nr_unmapped, nr_settled;
	uint32_t nr_waiting; /* atomic: invalidations that sleep until a section ends */
	uint32_t nr_left;    /* a futex: sections that ended meanwhile */
	bool has_no_barrier;
	/* Of an owner in another process; NULL: there is none, or it does not look. Atomic. */
	struct vas_device_entry *entry;
	uint64_t unmaps;      /* of the owner's, that were taken. Atomic */
	uint32_t nr_behind;   /* threads that wait until all are. Atomic */
	uint32_t nr_taken;    /* a futex: for them */
	uint32_t nr_asking;   /* under the lock: slots whose question is SENT */
	pthread_mutex_t lock; /* the map's changes; the slots' claims and questions */
	struct vas_iova_map map;
	struct vas_iommu_options options;
	struct vas_iommu_slot *slots;
};

/* ---- the view ----------------------------------------------------------------------------- */

static int check_options(const struct vas_iommu_options *options)
{
	if (options->max_entries - 1 >= VAS_IOMMU_MAX_ENTRIES ||
	    options->nr_slots - 1 >= VAS_IOMMU_MAX_SLOTS)
		return vas_error_set(-EINVAL,
				     "a view of %u entries and %u slots: there are 1 to %u, and 1 "
				     "to %u",
				     options->max_entries, options->nr_slots, VAS_IOMMU_MAX_ENTRIES,
				     VAS_IOMMU_MAX_SLOTS);
	return 0;
}

static int init_map(struct vas_iova_map *map, uint32_t max)
{
	uint32_t nr = vas_iova_map_leaves(max);

	map->max = max;
	map->leaves = malloc(nr * sizeof(*map->leaves));
	map->root = malloc(nr * sizeof(*map->root));
	map->free = malloc(nr * sizeof(*map->free));
	if (!map->leaves || !map->root || !map->free)
		return -ENOMEM;
	vas_iova_map_init(map);
	return 0;
}

static int init_slots(struct vas_iommu_view *view)
{
	uint32_t i, nr = view->options.nr_slots;

	view->slots = aligned_alloc(_Alignof(struct vas_iommu_slot), nr * sizeof(*view->slots));
	if (!view->slots)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		view->slots[i] = (struct vas_iommu_slot){ .view = view, .fd = -1 };
	return 0;
}

int vas_iommu_view_create(const struct vas_iommu_options *options, struct vas_iommu_view **view)
{
	int err = check_options(options);
	struct vas_iommu_view *made;
	NO_CANCEL;

	if (err)
		return err;
	made = calloc(1, sizeof(*made));
	if (!made)
		return vas_error_set(-ENOMEM, "no memory for a view");
	pthread_mutex_init(&made->lock, NULL);
	made->options = *options;
	made->generation = 1;
	made->has_no_barrier = vas_barrier_register() != 0;
	err = init_map(&made->map, options->max_entries);
	if (!err)
		err = init_slots(made);
	if (err) {
		vas_iommu_view_destroy(made);
		return vas_error_set(err, "no memory for a view of %u entries",
				     options->max_entries);
	}
	*view = made;
	return 0;
}

void vas_iommu_view_destroy(struct vas_iommu_view *view)
{
	if (!view)
		return;
	free(view->map.leaves);
	free(view->map.root);
	free(view->map.free);
	free(view->slots);
	pthread_mutex_destroy(&view->lock);
	free(view);
}

/* ---- the map ------------------------------------------------------------------------------ */

/* Under the lock. Searches that meet this are done again: partner: find(). */
static void begin_change(struct vas_iommu_view *view)
{
	__atomic_store_n(&view->sequence, view->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end_change(struct vas_iommu_view *view)
{
	__atomic_store_n(&view->sequence, view->sequence + 1, __ATOMIC_RELEASE);
}

/* False: something was changed meanwhile, and what was found means nothing. */
static bool try_find(const struct vas_iommu_view *view, uint64_t iova, struct vas_iova_range *found,
		     bool *has_it)
{
	uint32_t sequence = __atomic_load_n(&view->sequence, __ATOMIC_ACQUIRE);

	if (sequence & 1)
		return false;
	*has_it = vas_iova_map_find(&view->map, iova, found);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&view->sequence, __ATOMIC_RELAXED) == sequence;
}

static bool find(struct vas_iommu_view *view, uint64_t iova, struct vas_iova_range *found)
{
	bool has_it;
	int i;

	for (i = 0; i < MAX_RETRIES; i++)
		if (try_find(view, iova, found, &has_it))
			return has_it;
	/* Somebody changes it without end: be one of them. */
	pthread_mutex_lock(&view->lock);
	has_it = vas_iova_map_find(&view->map, iova, found);
	pthread_mutex_unlock(&view->lock);
	return has_it;
}

static void raise_slot(struct vas_iommu_slot *slot, enum question question)
{
	slot->view->nr_asking--;
	slot->question = question;
	slot->is_raised = true;
	eventfd_write(slot->fd, 1);
}

/* One that helps may be gone again before it is used: that is no fault of anybody's. */
static void answer_slot(struct vas_iommu_slot *slot, uint32_t prot)
{
	slot->nr_answers += slot->prot & ~prot ? 1 : 0;
	/* A no to a question that was put for somebody else, and before, is none to this one. */
	raise_slot(slot, prot ? ANSWERED : slot->is_own ? REFUSED : NOT_SENT);
}

/* Under the lock. prot is what is allowed there; none: a refusal. */
static void answer(struct vas_iommu_view *view, uint64_t iova, uint64_t last, uint32_t prot)
{
	uint32_t i;

	for (i = 0; view->nr_asking && i < view->options.nr_slots; i++) {
		struct vas_iommu_slot *slot = &view->slots[i];

		if (slot->question == SENT && iova <= slot->iova && slot->iova <= last)
			answer_slot(slot, prot);
	}
}

/* Under the lock: what is there says the same of all of the range, and allows as much. */
static bool is_there(const struct vas_iommu_view *view, const struct vas_iova_range *range)
{
	struct vas_iova_range found;

	return vas_iova_map_find(&view->map, range->iova, &found) && found.last >= range->last &&
	       found.gpa - found.iova == range->gpa - range->iova && !(range->prot & ~found.prot);
}

int vas_iommu_map(struct vas_iommu_view *view, uint64_t iova, uint64_t size, uint64_t gpa,
		  uint32_t prot)
{
	const struct vas_iova_range range = { iova, iova + (size - 1), gpa, prot };
	int err;
	NO_CANCEL;

	if (!size || range.last < iova || gpa + (size - 1) < gpa || !prot || prot & ~PROT_ALL)
		return vas_error_set(-EINVAL,
				     "iova %#llx, +%#llx cannot be gpa %#llx with permission %#x",
				     (unsigned long long)iova, (unsigned long long)size,
				     (unsigned long long)gpa, prot);
	pthread_mutex_lock(&view->lock);
	begin_change(view);
	err = vas_iova_map_add(&view->map, &range);
	end_change(view);
	if (err == -EEXIST && is_there(view, &range))
		err = 0;
	if (!err)
		answer(view, iova, range.last, prot);
	pthread_mutex_unlock(&view->lock);
	if (err == -EEXIST)
		vas_error_set(err, "iova %#llx, +%#llx is mapped otherwise, at least in part",
			      (unsigned long long)iova, (unsigned long long)size);
	else if (err)
		vas_error_set(err, "all %u entries of the view are in use", view->map.max);
	return err;
}

void vas_iommu_unmap(struct vas_iommu_view *view, uint64_t iova, uint64_t size)
{
	uint64_t last = iova + (size - 1);
	uint32_t nr;
	NO_CANCEL;

	if (!size || last < iova)
		last = UINT64_MAX;
	pthread_mutex_lock(&view->lock);
	begin_change(view);
	nr = vas_iova_map_remove(&view->map, iova, last);
	end_change(view);
	/* Partner: the acquire in vas_iommu_invalidate(). */
	if (nr)
		__atomic_store_n(&view->nr_unmapped, view->nr_unmapped + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&view->lock);
}

void vas_iommu_refuse(struct vas_iommu_view *view, uint64_t iova)
{
	NO_CANCEL;

	pthread_mutex_lock(&view->lock);
	answer(view, iova, iova, 0);
	pthread_mutex_unlock(&view->lock);
}

void vas_iommu_ask_again(struct vas_iommu_view *view)
{
	uint32_t i;

	pthread_mutex_lock(&view->lock);
	for (i = 0; view->nr_asking && i < view->options.nr_slots; i++)
		if (view->slots[i].question == SENT)
			raise_slot(&view->slots[i], NOT_SENT);
	pthread_mutex_unlock(&view->lock);
}

/* ---- sections ----------------------------------------------------------------------------- */

static uint64_t *section_of(struct vas_device_entry *entry, const struct vas_iommu_slot *slot)
{
	return &entry->answer.queues[slot - slot->view->slots].section;
}

static void fence(const struct vas_iommu_view *view)
{
	if (view->has_no_barrier)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/*
 * The slot before any search (compiler barrier; partner: I3). A generation that is old already
 * makes an invalidation wait that need not, and no more.
 *
 * For an owner in another process both have a full fence, as its membarrier would disturb all
 * guests of this machine, with each unmap: it sees the section, or its count of unmaps is seen
 * here, and nothing is looked for before they are taken. `unmaps` before the generation: see
 * vas_iommu_took_unmaps().
 */
static bool try_enter(struct vas_iommu_slot *slot)
{
	const struct vas_iommu_view *view = slot->view;
	struct vas_device_entry *entry = __atomic_load_n(&view->entry, __ATOMIC_RELAXED);
	uint64_t unmaps = __atomic_load_n(&view->unmaps, __ATOMIC_ACQUIRE);

	__atomic_store_n(&slot->generation, __atomic_load_n(&view->generation, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELAXED);
	fence(view);
	if (!entry)
		return true;
	/* Partner: vas_device_has_no_section(). */
	__atomic_store_n(section_of(entry, slot), unmaps, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vas_device_unmaps_reach(unmaps, __atomic_load_n(&entry->unmaps, __ATOMIC_ACQUIRE)))
		return true;
	vas_iommu_leave(slot);
	return false;
}

/* Whoever takes the owner's last unmaps sees that somebody waits for it, or has taken them. */
static bool enter_late(struct vas_iommu_slot *slot)
{
	struct vas_iommu_view *view = slot->view;
	uint32_t seen;
	bool is_in;

	__atomic_add_fetch(&view->nr_behind, 1, __ATOMIC_SEQ_CST);
	seen = __atomic_load_n(&view->nr_taken, __ATOMIC_ACQUIRE);
	is_in = try_enter(slot);
	if (!is_in)
		vas_futex_wait(&view->nr_taken, seen, vas_now_ns() + BEHIND_NS);
	__atomic_sub_fetch(&view->nr_behind, 1, __ATOMIC_RELAXED);
	return is_in || try_enter(slot);
}

int vas_iommu_enter(struct vas_iommu_slot *slot)
{
	return try_enter(slot) || enter_late(slot) ? 0 : -EAGAIN;
}

/*
 * The slot before the look at who waits for it (compiler barrier; partner: wait_for_slot()). The
 * release is for the acquire in is_inside().
 */
void vas_iommu_leave(struct vas_iommu_slot *slot)
{
	struct vas_iommu_view *view = slot->view;
	struct vas_device_entry *entry = __atomic_load_n(&view->entry, __ATOMIC_RELAXED);

	if (entry)
		__atomic_store_n(section_of(entry, slot), 0, __ATOMIC_RELEASE);
	__atomic_store_n(&slot->generation, 0, __ATOMIC_RELEASE);
	fence(view);
	if (__atomic_load_n(&view->nr_waiting, __ATOMIC_RELAXED))
		vas_futex_wake(&view->nr_left);
}

void vas_iommu_share(struct vas_iommu_view *view, struct vas_device_entry *entry, uint64_t unmaps)
{
	uint32_t i;

	for (i = 0; i < VAS_DEVICE_MAX_QUEUES; i++)
		__atomic_store_n(&entry->answer.queues[i].section, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&view->unmaps, unmaps, __ATOMIC_RELAXED);
	__atomic_store_n(&view->entry, entry, __ATOMIC_RELEASE);
}

void vas_iommu_unshare(struct vas_iommu_view *view)
{
	__atomic_store_n(&view->entry, NULL, __ATOMIC_RELAXED);
}

/*
 * A section with these has another generation than all before them: what was translated then, and
 * kept, is looked at again.
 */
void vas_iommu_took_unmaps(struct vas_iommu_view *view, uint64_t unmaps)
{
	if (unmaps == __atomic_load_n(&view->unmaps, __ATOMIC_RELAXED))
		return;
	__atomic_add_fetch(&view->generation, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&view->unmaps, unmaps, __ATOMIC_RELEASE);
	/* Partner: nr_behind in vas_iommu_enter(), before it looks again. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&view->nr_behind, __ATOMIC_RELAXED))
		vas_futex_wake(&view->nr_taken);
}

uint64_t vas_iommu_generation(const struct vas_iommu_slot *slot)
{
	return __atomic_load_n(&slot->generation, __ATOMIC_RELAXED);
}

int vas_iommu_has_moved(const struct vas_iommu_slot *slot)
{
	return __atomic_load_n(&slot->view->generation, __ATOMIC_RELAXED) !=
	       vas_iommu_generation(slot);
}

static bool is_inside(const struct vas_iommu_slot *slot, uint64_t generation)
{
	uint64_t seen = __atomic_load_n(&slot->generation, __ATOMIC_ACQUIRE);

	return seen && seen < generation;
}

/* Until its section ends: nr_left is counted up then. */
static int sleep_for_slot(struct vas_iommu_view *view, const struct vas_iommu_slot *slot,
			  uint64_t generation, struct deadline deadline)
{
	for (;;) {
		uint32_t seen = __atomic_load_n(&view->nr_left, __ATOMIC_ACQUIRE);

		if (!is_inside(slot, generation))
			return 0;
		if (!deadline_left_ns(deadline))
			return -ETIMEDOUT;
		vas_futex_wait(&view->nr_left, seen, deadline.at_ns);
	}
}

/*
 * A thread that leaves sees, after the membarrier, that somebody waits; or it has left before, and
 * that is seen here.
 */
static int wait_for_slot(const struct vas_iommu_slot *slot, uint64_t generation,
			 struct deadline deadline, uint32_t *spins)
{
	struct vas_iommu_view *view = slot->view;
	int err;

	for (; *spins; --*spins)
		if (!is_inside(slot, generation))
			return 0;
	__atomic_add_fetch(&view->nr_waiting, 1, __ATOMIC_SEQ_CST);
	vas_barrier_process();
	err = sleep_for_slot(view, slot, generation, deadline);
	__atomic_sub_fetch(&view->nr_waiting, 1, __ATOMIC_RELAXED);
	return err;
}

/* All sections have ended that began when fewer than nr were unmapped. */
static void settle_unmapped(struct vas_iommu_view *view, uint64_t nr)
{
	uint64_t was = __atomic_load_n(&view->nr_settled, __ATOMIC_RELAXED);

	while (was < nr && !__atomic_compare_exchange_n(&view->nr_settled, &was, nr, false,
							__ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/*
 * I1: the map was changed, by vas_iommu_unmap(). I2: the generation is counted up. I3: membarrier:
 * who enters from now on finds the map as it is, and who has entered before is seen in I4. I4: each
 * slot is empty, or of this generation or a later one. I5: the caller tells the guest.
 *
 * Where all that was unmapped was waited for already, there is nothing to do: front ends say the
 * same more than once, and speak of what the device has never asked for.
 */
int vas_iommu_invalidate(struct vas_iommu_view *view, uint64_t timeout_ns)
{
	struct deadline deadline = deadline_in(timeout_ns);
	uint64_t generation, nr = __atomic_load_n(&view->nr_unmapped, __ATOMIC_ACQUIRE);
	uint32_t i, spins = SPINS;
	int err = 0, saved_errno = errno;
	NO_CANCEL;

	if (__atomic_load_n(&view->nr_settled, __ATOMIC_ACQUIRE) >= nr)
		return 0;
	generation = __atomic_add_fetch(&view->generation, 1, __ATOMIC_ACQ_REL);
	vas_barrier_process();
	for (i = 0; i < view->options.nr_slots && !err; i++)
		if (is_inside(&view->slots[i], generation))
			err = wait_for_slot(&view->slots[i], generation, deadline, &spins);
	errno = saved_errno;
	if (!err)
		settle_unmapped(view, nr);
	return err ? vas_error_set(err, "slot %u of the view stays in a section for %llu ms", i - 1,
				   (unsigned long long)(timeout_ns / 1000000)) :
		     0;
}

/* ---- slots and their questions ------------------------------------------------------------ */

static struct vas_iommu_slot *find_free(struct vas_iommu_view *view)
{
	uint32_t i;

	for (i = 0; i < view->options.nr_slots; i++)
		if (view->slots[i].fd < 0)
			return &view->slots[i];
	return NULL;
}

int vas_iommu_slot_claim(struct vas_iommu_view *view, struct vas_iommu_slot **slot)
{
	struct vas_iommu_slot *found;
	int fd, err, saved_errno = errno;
	NO_CANCEL;

	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = -errno;
	errno = saved_errno;
	if (fd < 0)
		return vas_error_set(err, "no eventfd for a slot of a view");
	pthread_mutex_lock(&view->lock);
	found = find_free(view);
	if (found)
		found->fd = fd;
	pthread_mutex_unlock(&view->lock);
	if (!found) {
		close(fd);
		return vas_error_set(-EBUSY, "all %u slots of the view are claimed",
				     view->options.nr_slots);
	}
	*slot = found;
	return 0;
}

/* Under the lock: what it has asked for is of no interest any more. */
static void forget(struct vas_iommu_slot *slot)
{
	eventfd_t count;

	slot->view->nr_asking -= slot->question == SENT;
	slot->question = NO_QUESTION;
	if (slot->is_raised)
		eventfd_read(slot->fd, &count);
	slot->is_raised = false;
}

void vas_iommu_slot_release(struct vas_iommu_slot *slot)
{
	struct vas_iommu_view *view = slot->view;
	NO_CANCEL;

	pthread_mutex_lock(&view->lock);
	forget(slot);
	slot->is_asking = false;
	close(slot->fd);
	slot->fd = -1;
	pthread_mutex_unlock(&view->lock);
}

int vas_iommu_slot_fd(const struct vas_iommu_slot *slot)
{
	return slot->fd;
}

/* The question has led to a translation: the same once more is a new one. */
static void settle(struct vas_iommu_slot *slot)
{
	pthread_mutex_lock(&slot->view->lock);
	forget(slot);
	pthread_mutex_unlock(&slot->view->lock);
	slot->is_asking = false;
}

int vas_iommu_translate(struct vas_iommu_slot *slot, uint64_t iova, uint32_t prot, uint64_t *len,
			uint64_t *gpa)
{
	struct vas_iova_range range;

	if (!find(slot->view, iova, &range))
		return -EFAULT;
	if (prot & ~range.prot)
		return -EACCES;
	if (slot->is_asking && slot->iova - range.iova <= range.last - range.iova &&
	    !(slot->prot & ~range.prot))
		settle(slot);
	*gpa = range.gpa + (iova - range.iova);
	if (*len - 1 > range.last - iova)
		*len = range.last - iova + 1;
	return 0;
}

/* Under the lock: the question, and whether the owner is to be asked now. */
static bool put(struct vas_iommu_slot *slot, uint64_t iova, uint32_t prot)
{
	bool is_same = slot->question != NO_QUESTION && slot->iova == iova && slot->prot == prot;

	if (is_same && slot->question != NOT_SENT && slot->question != ANSWERED)
		return false;
	if (is_same && slot->nr_answers == MAX_ANSWERS) {
		slot->question = REFUSED;
		return false;
	}
	forget(slot);
	if (!is_same) {
		slot->iova = iova;
		slot->prot = prot;
		slot->nr_answers = 0;
		slot->deadline = deadline_in(slot->view->options.miss_ns);
	}
	slot->question = SENT;
	slot->is_own = false;
	slot->view->nr_asking++;
	return true;
}

/* Under the lock. What the owner has said, where no answer has come meanwhile. */
static void note(struct vas_iommu_slot *slot, int err)
{
	if (slot->question != SENT)
		return;
	slot->is_own = !err;
	if (!err || err == -EALREADY)
		return;
	slot->view->nr_asking--;
	slot->question = err == -EAGAIN ? NOT_SENT : REFUSED;
}

/* Under the lock. */
static int state_of(struct vas_iommu_slot *slot)
{
	switch (slot->question) {
	case ANSWERED:
		return 0;
	case REFUSED:
		return -EFAULT;
	default:
		if (!deadline_left_ns(slot->deadline))
			return -ETIMEDOUT;
		return slot->question == SENT ? -EINPROGRESS : -EAGAIN;
	}
}

int vas_iommu_ask(struct vas_iommu_slot *slot, uint64_t iova, uint32_t prot)
{
	struct vas_iommu_view *view = slot->view;
	const struct vas_iommu_options *options = &view->options;
	int err = -EFAULT;
	bool is_new;
	NO_CANCEL;

	slot->is_asking = true;
	pthread_mutex_lock(&view->lock);
	is_new = put(slot, iova, prot);
	pthread_mutex_unlock(&view->lock);
	if (is_new && options->miss)
		err = options->miss(options->owner, iova, prot);
	pthread_mutex_lock(&view->lock);
	if (is_new)
		note(slot, err);
	err = state_of(slot);
	/* A no is given once: by the next question the driver may have mapped it. */
	if (err == -EFAULT)
		forget(slot);
	pthread_mutex_unlock(&view->lock);
	return err;
}

static bool is_mapped(struct vas_iommu_view *view, uint64_t iova)
{
	struct vas_iova_range range;

	return find(view, iova, &range);
}

/* What is to be asked is known to be the last when all others were looked at. */
int vas_iommu_ask_ahead(struct vas_iommu_slot *slot, const struct vas_iommu_want *wants,
			uint32_t nr)
{
	const struct vas_iommu_options *options = &slot->view->options;
	const struct vas_iommu_want *last = NULL;
	int err = 0;
	uint32_t i;
	NO_CANCEL;

	if (!options->miss)
		return -EFAULT;
	for (i = 0; i < nr; i++) {
		if (is_mapped(slot->view, wants[i].iova))
			continue;
		if (last)
			options->miss(options->owner, last->iova, last->prot | VAS_IOMMU_MORE);
		last = &wants[i];
	}
	if (last)
		err = options->miss(options->owner, last->iova, last->prot);
	return err == -EALREADY ? 0 : err;
}

int vas_iommu_fault(struct vas_iommu_slot *slot, uint64_t iova, uint32_t prot)
{
	struct pollfd poll_fd = { .fd = slot->fd, .events = POLLIN };
	int err, saved_errno = errno;
	NO_CANCEL;

	for (;;) {
		err = vas_iommu_ask(slot, iova, prot);
		if (err == -EINPROGRESS)
			poll(&poll_fd, 1, deadline_poll_ms(slot->deadline, MAX_POLL_MS));
		else if (err == -EAGAIN)
			poll(NULL, 0, RETRY_MS);
		else
			break;
	}
	errno = saved_errno;
	return err;
}
