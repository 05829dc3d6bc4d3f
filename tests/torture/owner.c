// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The owner: changes the layout without pause, and does the worst with memory that it has taken away.
 *
 * After a failed commit, and after an adoption, memory that is in no region may still be in use, or
 * may be given back by the library at its next success; so nothing is filled or scribbled over
 * until a commit has succeeded. The dummy region is there to be moved in that commit.
 */
#include "torture.h"

/*
 * A process that is killed keeps its locks until its memory is gone: 3 ms, and 25 ms (at worst 115) with
 * a sanitizer's shadow. So most changes have more time than that, and the others fail soon.
 */
#define PATIENCE_NS  1000000000ull
#define IMPATIENT_NS 10000000ull
#define MAX_CHANGES  4

struct slot {
	uint64_t id; /* 0: in no region */
	uint64_t gpa;
	unsigned int pages;
};

struct owner {
	struct torture *t;
	struct vas *vas;
	struct test_random random;
	struct slot now[NR_SLOTS + 1];	/* what is committed */
	struct slot next[NR_SLOTS + 1]; /* what is being put together */
	int unsure;			/* memory outside of regions is not ours to touch yet */
};

static struct page *slot_page(struct owner *o, unsigned int slot, unsigned int nr)
{
	char *memory = o->t->memory[slot_file(slot)] + slot_offset(slot);

	return (struct page *)memory + nr;
}

static void fill(struct owner *o, unsigned int slot, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++)
		page_fill(slot_page(o, slot, i), slot, i, test_random_next(&o->random));
}

static void scribble(struct owner *o, unsigned int slot, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++)
		page_scribble(slot_page(o, slot, i));
}

static uint64_t random_gpa(struct owner *o)
{
	return test_random_below(&o->random, LIMIT_PAGES) * PAGE;
}

/* ---- changes of a transaction: 0, or what the library said ---------------------------------- */

static int add(struct owner *o, struct vas_layout *layout, unsigned int slot)
{
	struct slot *s = &o->next[slot];
	struct vas_region region = {
		.gpa = random_gpa(o),
		.offset = slot_offset(slot),
		.backing = slot_file(slot),
	};
	int err;

	/* Twice in one transaction would let its memory be filled while it is in use. */
	if (o->now[slot].id)
		return -EBUSY;
	region.size = (1 + test_random_below(&o->random, SLOT_PAGES)) * PAGE;
	err = vas_layout_add(layout, &region, &s->id);
	if (err)
		return err;
	s->gpa = region.gpa;
	s->pages = (unsigned int)(region.size / PAGE);
	fill(o, slot, 0, s->pages);
	return 0;
}

static int drop(struct owner *o, struct vas_layout *layout, unsigned int slot)
{
	int err = vas_layout_remove(layout, o->next[slot].id);

	if (!err)
		o->next[slot].id = 0;
	return err;
}

static int move(struct owner *o, struct vas_layout *layout, unsigned int slot)
{
	uint64_t gpa = random_gpa(o);
	int err = vas_layout_move(layout, o->next[slot].id, gpa);

	if (!err)
		o->next[slot].gpa = gpa;
	return err;
}

static int resize(struct owner *o, struct vas_layout *layout, unsigned int slot)
{
	unsigned int pages = 1 + (unsigned int)test_random_below(&o->random, SLOT_PAGES);
	struct slot *s = &o->next[slot];
	int err;

	if (s->id != o->now[slot].id)
		return -EBUSY;
	err = vas_layout_resize(layout, s->id, pages * PAGE);
	if (err)
		return err;
	if (pages > o->now[slot].pages)
		fill(o, slot, o->now[slot].pages, pages);
	s->pages = pages;
	return 0;
}

static void change(struct owner *o, struct vas_layout *layout)
{
	unsigned int slot = (unsigned int)test_random_below(&o->random, NR_SLOTS);
	int err;

	if (!o->next[slot].id)
		err = add(o, layout, slot);
	else if (test_random_below(&o->random, 3) == 0)
		err = drop(o, layout, slot);
	else if (test_random_below(&o->random, 2))
		err = move(o, layout, slot);
	else
		err = resize(o, layout, slot);
	/* Overlap, beyond the limit, or not now. */
	if (err && err != -EEXIST && err != -EINVAL && err != -EBUSY)
		torture_violated(o->t, "change: %s: %s", strerrorname_np(-err), vas_error());
}

/* ---- commit --------------------------------------------------------------------------------- */

/* Nobody can be in there any more: that is what the commit promised. */
static void poison(struct owner *o)
{
	for (unsigned int slot = 0; slot <= NR_SLOTS; slot++) {
		const struct slot *was = &o->now[slot], *is = &o->next[slot];

		if (was->id && was->id != is->id)
			scribble(o, slot, 0, was->pages);
		else if (was->id && is->pages < was->pages)
			scribble(o, slot, is->pages, was->pages);
	}
}

static uint64_t patience(struct owner *o)
{
	return test_random_below(&o->random, 4) ? PATIENCE_NS :
						  test_random_below(&o->random, IMPATIENT_NS);
}

static void commit(struct owner *o, struct vas_layout *layout)
{
	struct vas_blocker blocker = { .kind = VAS_BLOCKER_NONE };
	uint64_t timeout_ns = patience(o);
	int err;

	torture_doom(o->t, SPARE_OWNER, &o->random, 100, 100000);
	err = vas_layout_commit(layout, timeout_ns, &blocker);

	if (err == -EBUSY) {
		if (blocker.kind == VAS_BLOCKER_NONE)
			torture_violated(o->t, "commit: busy, and nobody is named");
		torture_count(&o->t->shared->nr_busy[blocker.kind == VAS_BLOCKER_PIN]);
		o->unsure = 1;
		return;
	}
	if (err)
		torture_violated(o->t, "commit: %s: %s", strerrorname_np(-err), vas_error());
	poison(o);
	memcpy(o->now, o->next, sizeof(o->now));
	torture_count(&o->t->shared->nr_commits);
}

static void check_layout(struct owner *o)
{
	struct vas_region regions[NR_SLOTS + 1];
	unsigned int nr = 0;

	for (unsigned int slot = 0; slot <= NR_SLOTS; slot++)
		nr += !!o->now[slot].id;
	if (vas_regions(o->vas, regions, NR_SLOTS + 1) != nr)
		torture_violated(o->t, "owner: the layout is not what was committed");
	for (unsigned int i = 0; i < nr; i++) {
		const struct slot *s = &o->now[slot_of(regions[i].backing, regions[i].offset)];

		if (s->id != regions[i].id || s->gpa != regions[i].gpa ||
		    s->pages * PAGE != regions[i].size)
			torture_violated(o->t, "owner: a region is not as it was committed");
	}
}

/* Until one move of the dummy has succeeded: its commit waits for whoever may be anywhere. */
static int move_dummy(struct owner *o, struct vas_layout *layout)
{
	for (int tries = 0; tries < 100; tries++)
		if (!move(o, layout, DUMMY_SLOT))
			return 1;
	return 0;
}

static void transact(struct owner *o)
{
	unsigned int nr = 1 + (unsigned int)test_random_below(&o->random, MAX_CHANGES);
	struct vas_layout *layout;
	int err = vas_layout_begin(o->vas, &layout), do_commit;

	if (err)
		torture_violated(o->t, "begin: %s: %s", strerrorname_np(-err), vas_error());
	memcpy(o->next, o->now, sizeof(o->next));
	do_commit = test_random_below(&o->random, 16) != 0;
	if (o->unsure)
		do_commit = move_dummy(o, layout);
	else
		while (nr--)
			change(o, layout);
	if (!do_commit) {
		vas_layout_abort(layout);
		return;
	}
	o->unsure = 0;
	commit(o, layout);
}

/* ---- adopt ---------------------------------------------------------------------------------- */

static void inherit(struct owner *o)
{
	struct vas_region regions[NR_SLOTS + 1];
	ssize_t nr = vas_regions(o->vas, regions, NR_SLOTS + 1);

	if (nr < 1 || nr > NR_SLOTS + 1)
		torture_violated(o->t, "adopt: %zd regions", nr);
	for (ssize_t i = 0; i < nr; i++) {
		unsigned int slot = slot_of(regions[i].backing, regions[i].offset);

		if (slot > NR_SLOTS || o->now[slot].id)
			torture_violated(o->t, "adopt: a region that nobody made");
		o->now[slot] = (struct slot){
			.id = regions[i].id,
			.gpa = regions[i].gpa,
			.pages = (unsigned int)(regions[i].size / PAGE),
		};
	}
	if (!o->now[DUMMY_SLOT].id)
		torture_violated(o->t, "adopt: the region that is never removed is gone");
	o->unsure = 1;
	torture_count(&o->t->shared->nr_adopted);
}

static int adopt(struct torture *t, struct vas **vas)
{
	for (;;) {
		int err = torture_bind(t, VAS_BIND_ADOPT, vas);

		if (!err)
			return 1;
		if (err != -EBUSY && err != -EAGAIN)
			torture_violated(t, "adopt: %s: %s", strerrorname_np(-err), vas_error());
		if (torture_stopped(t))
			return 0;
	}
}

void owner_run(struct torture *t, unsigned int process, uint64_t seed)
{
	struct owner o = { .t = t, .random = { seed } };

	while (!torture_stopped(t)) {
		uint64_t reign = 1 + test_random_below(&o.random, 5000);

		memset(o.now, 0, sizeof(o.now));
		if (!adopt(t, &o.vas))
			return;
		inherit(&o);
		while (reign-- && !torture_stopped(t)) {
			transact(&o);
			torture_count(&t->shared->beats[process][0]);
		}
		check_layout(&o);
		vas_unbind(o.vas);
	}
}
