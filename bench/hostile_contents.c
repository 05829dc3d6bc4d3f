// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "bench/hostile_contents.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/protocol/entries.h"

#define NR_LOCKS      4000
#define NR_READ_LOCKS 10000

static void nothing(struct scene *s)
{
	(void)s;
}

/* Nobody lives under these, and each names another index. */
static uint32_t dead_tag(const struct scene *s, uint32_t i)
{
	return 7u << VAS_TAG_INDEX_BITS | (2 + i % (s->owner->sb.nr_binders - 2));
}

static void forge_binders(struct scene *s)
{
	for (uint32_t i = 2; i < s->owner->sb.nr_binders; i++) {
		s->owner->proto.binders[i].state = 1;
		s->owner->proto.binders[i].claims = 7;
	}
}

static void forge_slots(struct scene *s, bool alive)
{
	for (uint32_t i = 0; i < s->owner->sb.nr_slots; i++)
		s->owner->proto.slots[i] =
			(struct vas_slot){ .generation = 1,
					   .tag = alive ? s->peer->proto.tag : dead_tag(s, i) };
}

static void forge_pins(struct scene *s, bool alive)
{
	for (uint32_t i = 0; i < s->owner->sb.nr_pins; i++)
		s->owner->proto.pins[i] = (struct vas_pin){
			.state = VAS_PIN_HELD,
			.tag = alive ? s->peer->proto.tag : dead_tag(s, i),
			.size = LIMIT,
			.flags = VAS_PIN_WRITABLE,
		};
	s->owner->ctl->pins_claimed = UINT32_MAX;
}

static void dead(struct scene *s)
{
	forge_binders(s);
	forge_slots(s, false);
	forge_pins(s, false);
}

static void slots_alive(struct scene *s)
{
	forge_slots(s, true);
}

static void pins_alive(struct scene *s)
{
	forge_pins(s, true);
}

/* The kernel keeps a list of them, which each look at one walks. */
static void dead_and_locks(struct scene *s)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->owner->fd);
	s->locks_fd = open(path, O_RDWR | O_CLOEXEC);
	for (int i = 0; s->locks_fd >= 0 && i < NR_LOCKS; i++) {
		struct flock lock = { .l_type = F_WRLCK, .l_start = 2 * i, .l_len = 1 };

		fcntl(s->locks_fd, F_OFD_SETLK, &lock);
	}
	dead(s);
}

/* In nobody's way, but in everybody's list: who makes them pays for their square. */
static void dead_and_read_locks(struct scene *s)
{
	s->locks_fd = vas_readonly_fd(s->owner);
	for (int i = 0; i < NR_READ_LOCKS; i++) {
		struct flock lock = { .l_type = F_RDLCK, .l_start = 1ll << 50, .l_len = 1 };

		lock.l_start += 2 * i;
		fcntl(s->locks_fd, F_OFD_SETLK, &lock);
	}
	dead(s);
}

/* All levels say that pages are to come, and none is. */
static void lazy(struct scene *s)
{
	struct vas_control *ctl = s->owner->ctl;
	struct vas_state state = ctl->state[ctl->generation & 1];
	struct vas_log_layout layout;
	char *log;

	vas_log_layout(LIMIT, &layout);
	log = (char *)vas_extent(s->owner, VAS_EXT_LOG) + layout.size;
	memset(log + layout.summary_offset, 0xff, layout.size - layout.summary_offset);
	state.generation++;
	state.flags |= VAS_STATE_LAZY;
	ctl->state[state.generation & 1] = state;
	ctl->lazy_log = 1;
	__atomic_store_n(&ctl->generation, state.generation, __ATOMIC_RELEASE);
}

static void *count_words(void *arg)
{
	struct scene *s = arg;
	struct vas_control *ctl = s->peer->ctl;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_add(&ctl->answer, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&ctl->notify, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&ctl->lazy_wakeup, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&ctl->log_incomplete, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *count_generations(void *arg)
{
	struct scene *s = arg;
	struct vas_control *ctl = s->peer->ctl;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		uint64_t generation = __atomic_load_n(&ctl->generation, __ATOMIC_ACQUIRE) + 1;
		struct vas_state state = ctl->state[(generation - 1) & 1];

		state.generation = state.regions_generation = generation;
		ctl->state[generation & 1] = state;
		__atomic_store_n(&ctl->generation, generation, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void run(struct scene *s, void *(*what)(void *arg))
{
	s->stop = false;
	s->runs = !pthread_create(&s->thread, NULL, what, s);
}

static void words(struct scene *s)
{
	forge_pins(s, true);
	run(s, count_words);
}

static void generations(struct scene *s)
{
	run(s, count_generations);
}

const struct content contents[] = {
	{ "nothing", nothing },
	{ "dead", dead },
	{ "dead-and-locks", dead_and_locks },
	{ "dead-and-read-locks", dead_and_read_locks },
	{ "slots-alive", slots_alive },
	{ "pins-alive", pins_alive },
	{ "lazy", lazy },
	{ "words", words },
	{ "generations", generations },
};
const unsigned int nr_contents = sizeof(contents) / sizeof(contents[0]);

void content_end(struct scene *s)
{
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	if (s->runs)
		pthread_join(s->thread, NULL);
	if (s->locks_fd >= 0)
		close(s->locks_fd);
}
