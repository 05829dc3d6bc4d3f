// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A vas whose owner is gone, and what a peer has left in it for the next one: what an adopter
 * publishes is checked, and what it finds costs it no more than it is long.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/access.h>
#include <vas/handover.h>
#include <vas/vas.h>

#include "tests/harness.h"
#include "lib/handle/handle.h"

#define LIMIT (1ull << 30)
#define SIZE  (1ull << 20)
#define HUGE  (~0ull)

struct scene {
	struct vas *binder; /* has a view; its owner is gone */
	struct vas_control *ctl;
	struct vas_state *state; /* that holds */
	struct vas_region_entry *table, *other;
	struct vas_backing_entry *backings;
};

static int backing_fd(void)
{
	int fd = memfd_create("backing", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, (off_t)SIZE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	return fd;
}

/* Two regions of the file, and one of a further backing. */
static struct vas *create(int fd)
{
	struct vas_options options = { .limit = LIMIT, .name = "left" };
	struct vas_region region = { .size = SIZE };
	struct vas *owner;
	int i;

	CHECK_OK(vas_create(&options, &owner));
	CHECK_EQ(vas_backing_add(owner, fd), 1);
	for (i = 0; i < 3; i++) {
		region.gpa = region.offset = (uint64_t)i * 2 * SIZE;
		region.backing = i == 2;
		if (region.backing)
			region.offset = 0;
		CHECK_OK(vas_region_add(owner, &region, NULL));
	}
	return owner;
}

static struct scene scene_of(struct vas *binder)
{
	struct scene s = { .binder = binder, .ctl = binder->ctl };

	s.state = &s.ctl->state[s.ctl->generation & 1];
	s.table = vas_extent(s.binder, s.state->table ? VAS_EXT_TABLE1 : VAS_EXT_TABLE0);
	s.other = vas_extent(s.binder, s.state->table ? VAS_EXT_TABLE0 : VAS_EXT_TABLE1);
	s.backings = vas_extent(s.binder, VAS_EXT_BACKINGS);
	return s;
}

static struct scene scene(void)
{
	int fd = backing_fd();
	struct vas *owner = create(fd), *binder;

	CHECK_OK(vas_bind(vas_fd(owner), 0, &binder));
	CHECK_EQ(vas_backing_offer(binder, fd), 1);
	close(fd);
	vas_unbind(owner);
	return scene_of(binder);
}

/* The same once more, as a generation of its own; with `new` regions or those that are known. */
static void publish(struct scene *s, uint64_t generation, int new)
{
	struct vas_state state = *s->state;

	state.generation = generation;
	if (new)
		state.regions_generation = generation;
	s->state = &s->ctl->state[generation & 1];
	*s->state = state;
	__atomic_store_n(&s->ctl->generation, generation, __ATOMIC_RELEASE);
}

static void check_that_all_works(struct vas *owner)
{
	struct vas_region region = { .gpa = 64 * SIZE, .offset = 64 * SIZE, .size = SIZE };
	struct vas *newcomer;
	struct vas_info info;
	uint64_t id;

	CHECK_OK(vas_region_add(owner, &region, &id));
	CHECK(id > 3 && id < 1ull << 62);
	CHECK_OK(vas_bind(vas_fd(owner), 0, &newcomer));
	CHECK_OK(vas_write(newcomer, 0, "x", 1, NULL));
	CHECK_OK(vas_info(newcomer, &info));
	CHECK(info.generation > 1);
	vas_unbind(newcomer);
	CHECK_OK(vas_region_remove(owner, id));
}

/* By a handle that was bound before, and by a new one; then what is damaged is mended. */
static void check_refused(struct scene *s)
{
	struct vas *newcomer;

	CHECK_EQ(vas_adopt(s->binder), -EPROTO);
	CHECK_HAS(vas_error(), "damaged");
	CHECK_EQ(vas_bind(vas_fd(s->binder), VAS_BIND_ADOPT, &newcomer), -EPROTO);
	CHECK_HAS(vas_error(), "damaged");
}

static void check_adopted(struct scene *s)
{
	CHECK_OK(vas_adopt(s->binder));
	check_that_all_works(s->binder);
	vas_destroy(s->binder);
}

TEST(an_id_from_which_an_owner_could_not_count_on_is_not_adopted)
{
	static const uint64_t ids[] = { HUGE, HUGE - 1, 1ull << 62 };
	struct scene s = scene();
	uint64_t id = s.table[0].id, told = s.ctl->next_region_id;

	for (int i = 0; i < 3; i++) {
		s.table[0].id = ids[i];
		s.ctl->next_region_id = 0;
		publish(&s, s.ctl->generation + 1, 1);
		check_refused(&s);
		s.table[0].id = id;
		s.ctl->next_region_id = ids[i] | 1;
		publish(&s, s.ctl->generation + 1, 1);
		check_refused(&s);
	}
	s.ctl->next_region_id = told;
	check_adopted(&s);
}

TEST(two_regions_with_one_id_are_not_adopted)
{
	struct scene s = scene();
	uint64_t id = s.table[2].id;

	s.table[2].id = s.table[0].id;
	publish(&s, s.ctl->generation + 1, 1);
	check_refused(&s);
	s.table[2].id = id;
	publish(&s, s.ctl->generation + 1, 1);
	check_adopted(&s);
}

TEST(a_generation_from_which_an_owner_could_not_count_on_is_not_adopted)
{
	static const uint64_t generations[] = { HUGE, HUGE - 1, 1ull << 62 };
	struct scene s = scene();
	uint64_t before = s.ctl->generation;

	for (int i = 0; i < 3; i++) {
		publish(&s, generations[i], 1);
		check_refused(&s);
	}
	publish(&s, before + 1, 1);
	check_adopted(&s);
}

/* The regions are those that the adopter's view has: it does not read the table again. */
TEST(backings_that_changed_under_known_regions_are_checked)
{
	struct scene s = scene();
	struct vas_backing_entry entry = s.backings[1];

	for (int i = 0; i < 5; i++) {
		switch (i) {
		case 0:
			s.backings[1].page_size = 12345;
			break;
		case 1:
			s.backings[1].size = SIZE / 2;
			break;
		case 2:
			s.backings[1].size = HUGE;
			break;
		case 3:
			s.backings[1].flags = 0;
			break;
		default:
			s.backings[1].flags = UINT32_MAX;
		}
		publish(&s, s.ctl->generation + 1, 0);
		check_refused(&s);
		s.backings[1] = entry;
	}
	s.state->nr_backings = 1;
	publish(&s, s.ctl->generation + 1, 0);
	check_refused(&s);
	s.state->nr_backings = 2;
	publish(&s, s.ctl->generation + 1, 0);
	check_adopted(&s);
}

TEST(a_table_that_changed_under_known_regions_is_written_as_it_was)
{
	struct scene s = scene();
	struct vas_region_entry entry = s.table[1];

	memset(&s.table[1], 0xee, sizeof(s.table[1]));
	publish(&s, s.ctl->generation + 1, 0);
	CHECK_OK(vas_adopt(s.binder));
	CHECK(!memcmp(&s.table[1], &entry, sizeof(entry)));
	check_that_all_works(s.binder);
	vas_destroy(s.binder);
}

TEST(what_entries_hold_that_are_not_in_use_is_not_published)
{
	static const struct vas_backing_entry none;
	struct scene s = scene();

	memset(&s.backings[5], 0xaa, sizeof(s.backings[5]));
	s.backings[5].flags = VAS_BACKING_UNSEALED;
	s.state->nr_backings = 7;
	publish(&s, s.ctl->generation + 1, 0);
	CHECK_OK(vas_adopt(s.binder));
	CHECK(!memcmp(&s.backings[5], &none, sizeof(none)));
	CHECK_EQ(s.ctl->state[s.ctl->generation & 1].nr_backings, 2);
	check_that_all_works(s.binder);
	vas_destroy(s.binder);
}

TEST(an_owner_counts_by_itself_whatever_a_peer_writes_over_its_counters)
{
	struct scene s = scene();
	struct vas_region region = { .gpa = 80 * SIZE, .offset = 80 * SIZE, .size = SIZE };
	uint64_t first, second, generation;

	CHECK_OK(vas_adopt(s.binder));
	CHECK_OK(vas_region_add(s.binder, &region, &first));
	generation = s.ctl->generation;
	s.ctl->next_region_id = HUGE;
	s.ctl->generation = HUGE;
	s.ctl->state[0].generation = s.ctl->state[1].generation = HUGE;
	s.ctl->state[0].nr_backings = s.ctl->state[1].nr_backings = UINT32_MAX;
	memset(&s.backings[9], 0xff, sizeof(s.backings[9]));
	region.gpa = region.offset = 90 * SIZE;
	CHECK_OK(vas_region_add(s.binder, &region, &second));
	CHECK_EQ(second, first + 1);
	CHECK_EQ(s.ctl->next_region_id, second + 1);
	CHECK_EQ(s.ctl->generation, generation + 1);
	CHECK_EQ(s.ctl->state[s.ctl->generation & 1].nr_backings, 2);
	check_that_all_works(s.binder);
	vas_destroy(s.binder);
}

/* ---- a hand-over -------------------------------------------------------------------------- */

struct giver {
	struct vas *owner;
	int sock, err;
};

static void *give(void *arg)
{
	struct giver *g = arg;

	g->err = vas_handover_give(g->owner, g->sock, NULL, 0);
	return NULL;
}

/* As vas_handover_take() does, up to the moment when it would adopt; see lib/share/handover.c. */
static struct vas *take(int sock)
{
	struct {
		uint32_t magic, word;
	} message;
	struct vas *taker;

	CHECK_OK(vas_recv_fds(sock, 0, &taker));
	CHECK_EQ(recv(sock, &message, sizeof(message), MSG_WAITALL), sizeof(message));
	message.word = 1;
	CHECK_EQ(send(sock, &message, sizeof(message), 0), sizeof(message));
	CHECK_EQ(recv(sock, &message, sizeof(message), MSG_WAITALL), sizeof(message));
	return taker;
}

/* A peer writes when the old owner has let go, and the new one does not hold it yet. */
TEST(what_the_taker_does_not_adopt_stays_the_givers)
{
	int fd = backing_fd(), pair[2];
	struct giver g = { .owner = create(fd) };
	pthread_t thread;
	struct scene s;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	g.sock = pair[0];
	CHECK_OK(-pthread_create(&thread, NULL, give, &g));
	s = scene_of(take(pair[1]));
	s.backings[1].page_size = 12345;
	publish(&s, s.ctl->generation + 1, 0);
	check_refused(&s);
	close(pair[1]);
	CHECK_OK(-pthread_join(thread, NULL));
	CHECK_EQ(g.err, -ECONNRESET);
	/* From its own copy, which the first change publishes. */
	check_that_all_works(g.owner);
	vas_unbind(s.binder);
	vas_destroy(g.owner);
	close(pair[0]);
	close(fd);
}

/* ---- what it costs ------------------------------------------------------------------------ */

/* Cubic work would be days, and quadratic minutes of this. */
TEST(a_first_change_costs_as_much_as_both_tables_are_long)
{
	struct vas_region region = { .gpa = LIMIT - 4096, .offset = LIMIT - 4096, .size = 4096 };
	struct scene s = scene();
	uint32_t i, nr = s.binder->sb.max_regions - 1;

	for (i = 0; i < nr; i++) {
		s.table[i] = (struct vas_region_entry){
			.gpa = i * 8192ull, .size = 4096, .offset = i * 8192ull, .id = i + 1
		};
		s.other[i] = (struct vas_region_entry){ .size = LIMIT - i * 4096ull,
							.offset = i * 4096ull,
							.id = i + 1 };
	}
	s.state->nr_regions = nr;
	s.ctl->next_region_id = nr + 1;
	publish(&s, s.ctl->generation + 1, 1);
	CHECK_OK(vas_adopt(s.binder));
	CHECK_OK(vas_region_add(s.binder, &region, NULL));
	vas_destroy(s.binder);
}
