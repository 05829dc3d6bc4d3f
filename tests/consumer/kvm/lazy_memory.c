// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A guest on memory that is still to come: its code, its page tables and what it walks. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vas/lazy.h>

#include "tests/consumer/kvm/fixture.h"

#define WALKED (4ull << 20)
#define SIZE   (16ull << 20)
#define WORD   (256ull << 10)

struct image {
	struct vas_source source; /* first */
	char *bytes;
	uint64_t nr_fetched;
};

static int fetch(struct vas_source *source, uint64_t gpa, void *pages, uint64_t *bits)
{
	struct image *image = (struct image *)source;

	memcpy(pages, image->bytes + gpa, WORD);
	*bits = UINT64_MAX;
	__atomic_add_fetch(&image->nr_fetched, 1, __ATOMIC_RELAXED);
	return 0;
}

static void end(struct vas_source *source)
{
	(void)source;
}

/* A walker that goes over the upper three quarters, with its list and mailbox. */
static void make_image(struct image *image, uint64_t seed)
{
	struct guest_mailbox *box;
	struct guest_region *list;

	image->source = (struct vas_source){ fetch, end };
	image->bytes = calloc(1, SIZE);
	CHECK(image->bytes);
	memcpy(image->bytes + GUEST_LOAD, guest_walker, guest_walker_size);
	box = (struct guest_mailbox *)(image->bytes + GUEST_MAILBOX);
	box->seed = seed;
	box->rounds = 2;
	box->nr_regions = 1;
	box->regions = FIXTURE_LIST;
	list = (struct guest_region *)(image->bytes + FIXTURE_LIST);
	*list = (struct guest_region){ .gpa = SIZE - WALKED, .size = WALKED };
	for (uint64_t gpa = SIZE - WALKED; gpa < SIZE; gpa += VAS_PAGE_SIZE)
		*(uint64_t *)(image->bytes + gpa) = gpa ^ seed;
}

static void restore(struct vas *vas, struct image *image, uint32_t flags)
{
	struct vas_region region = { .size = SIZE };
	struct vas_dirty_word words[SIZE / WORD];
	struct vas_layout *layout;

	for (uint64_t i = 0; i < SIZE / WORD; i++)
		words[i] = (struct vas_dirty_word){ i * WORD, UINT64_MAX };
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_add(layout, &region, NULL));
	CHECK_OK(vas_layout_commit_lazy(layout, &image->source, words, SIZE / WORD, flags));
}

static void on_io(struct machine *machine, const struct machine_io *io)
{
	if (!io->is_write)
		memset(io->data, 0xff, io->len);
	else if (io->is_port && io->addr == GUEST_PORT_EXIT)
		machine_stop(machine, *(uint8_t *)io->data);
}

static void check_walked(struct vas *vas)
{
	uint64_t times;

	for (uint64_t gpa = SIZE - WALKED; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		test_note("page %#llx", (unsigned long long)gpa);
		CHECK_OK(vas_load_le64(vas, gpa + 8, &times, __ATOMIC_RELAXED));
		CHECK_EQ(times, 2);
	}
}

static void run_guest(uint32_t create_flags, uint32_t flags)
{
	const struct vas_options options = { .limit = FIXTURE_LIMIT, .flags = create_flags };
	struct test_random random = { test_seed() };
	struct machine machine = { 0 };
	struct image image = { 0 };
	struct vas_info info;
	struct vas *vas;
	long fd = syscall(SYS_userfaultfd, 0);

	if (fd < 0)
		test_skip("userfaultfd: %s", strerror(errno));
	close((int)fd);
	close(kvm_require());
	CHECK_OK(vas_create(&options, &vas));
	make_image(&image, test_random_next(&random) | 1);
	restore(vas, &image, flags);
	CHECK_OK(machine_create(&machine, vas, 1, 0));
	machine.io = on_io;
	CHECK_OK(machine_enter_at(&machine, GUEST_LOAD, 0));
	CHECK_OK(machine_start(&machine));
	CHECK_EQ(machine_wait(&machine), 0);
	CHECK_OK(vas_info(vas, &info));
	/* What no one has touched has not come, unless by itself. */
	if (flags & VAS_LAZY_ON_TOUCH)
		CHECK(info.nr_lazy >= (SIZE - WALKED) / 2 / VAS_PAGE_SIZE);
	check_walked(vas);
	CHECK_OK(vas_lazy_wait(vas, TEST_HANG_NS));
	CHECK_EQ(image.nr_fetched, SIZE / WORD);
	check_walked(vas);
	machine_destroy(&machine);
	vas_destroy(vas);
	free(image.bytes);
}

TEST(guest_brings_what_it_touches)
{
	run_guest(0, VAS_LAZY_ON_TOUCH);
}

TEST(guest_runs_while_the_rest_comes)
{
	run_guest(0, 0);
}

TEST(guest_brings_what_it_touches_of_ram_that_is_apart)
{
	run_guest(VAS_CREATE_RAM_APART, VAS_LAZY_ON_TOUCH);
}
