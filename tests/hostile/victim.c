// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "victim.h"

#define PAGE	     4096ull
#define MUCH_WORK_NS 5000000000ull

static int make_backing(void)
{
	int fd = memfd_create("victim-backing", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, 16 * PAGE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	return fd;
}

static uint64_t add(struct victim *v, uint64_t page, uint64_t nr, uint32_t backing, uint32_t flags)
{
	const struct vas_region region = {
		.gpa = page * PAGE,
		.size = nr * PAGE,
		.offset = backing ? 0 : page * PAGE,
		.backing = backing,
		.flags = flags,
		.name = "part",
	};
	uint64_t id;

	CHECK_OK(vas_region_add(v->owner, &region, &id));
	return id;
}

static void add_events(struct victim *v)
{
	const struct vas_event bell = {
		.kind = VAS_EVENT_DOORBELL,
		.id = 1,
		.len = 4,
		.addr = 0x1000,
		.name = "bell",
	};
	const struct vas_event irq = { .kind = VAS_EVENT_IRQ, .id = 2, .gsi = 9, .name = "irq" };

	CHECK_OK(vas_event_add(v->owner, &bell));
	CHECK_OK(vas_event_add(v->owner, &irq));
}

static void map_control(struct victim *v)
{
	struct vas_info info;

	CHECK_OK(vas_info(v->owner, &info));
	v->ram_size = info.ram_size;
	v->control_size = info.file_size - info.ram_size;
	v->control = mmap(NULL, v->control_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  vas_fd(v->owner), (off_t)info.ram_size);
	CHECK(v->control != MAP_FAILED);
	v->sb = (struct vas_superblock *)(v->control + v->control_size) - 1;
	CHECK_EQ(v->sb->magic, VAS_MAGIC);
	v->ctl = victim_extent(v, VAS_EXT_CONTROL);
}

void victim_make(struct victim *v)
{
	const struct vas_options options = {
		.limit = VICTIM_PAGES * PAGE,
		.name = "victim",
		.max_regions = 16,
		.nr_slots = 16,
	};

	memset(v, 0, sizeof(*v));
	CHECK_OK(vas_create(&options, &v->owner));
	v->backing_fd = make_backing();
	CHECK_EQ(vas_backing_add(v->owner, v->backing_fd), 1);
	v->region_id = add(v, 0, 4, 0, 0);
	add(v, 4, 1, 0, VAS_REGION_READONLY);
	add(v, 8, 8, 1, 0);
	add(v, 32, 32, 0, 0);
	add_events(v);
	CHECK_OK(vas_fill(v->owner, 0, 0x55, 3 * PAGE, NULL));
	CHECK_OK(vas_mapping_create(v->owner, 40 * PAGE, PAGE, VAS_MAPPING_WRITE, &v->mapping));
	map_control(v);
}

void victim_free(struct victim *v)
{
	if (v->mapping)
		vas_mapping_destroy(v->mapping);
	vas_destroy(v->owner);
	munmap(v->control, v->control_size);
	close(v->backing_fd);
}

void *victim_extent(const struct victim *v, enum vas_extent_id id)
{
	return v->control + (v->sb->extents[id].offset - v->ram_size);
}

struct vas_state *victim_state(const struct victim *v)
{
	return &v->ctl->state[v->ctl->generation & 1];
}

struct vas_region_entry *victim_table(const struct victim *v)
{
	return victim_extent(v, victim_state(v)->table & 1 ? VAS_EXT_TABLE1 : VAS_EXT_TABLE0);
}

void victim_republish(const struct victim *v)
{
	const uint64_t next = v->ctl->generation + 1;
	struct vas_state *state = &v->ctl->state[next & 1];

	*state = v->ctl->state[(next - 1) & 1];
	state->generation = next;
	state->regions_generation = next;
	__atomic_store_n(&v->ctl->generation, next, __ATOMIC_RELEASE);
}

static void check_error(int64_t result)
{
	CHECK(result > -4096);
	CHECK(result != -ENOSYS && result != -EBADF);
}

static void exercise_copies(struct vas *vas)
{
	static uint8_t buf[16 * 4096];
	static const uint64_t gpas[] = {
		0,	   3 * PAGE - 5, 4 * PAGE + 8, 7 * PAGE,   8 * PAGE,
		31 * PAGE, 63 * PAGE,	 64 * PAGE,    1ull << 40, ~0ull - 4095,
	};
	size_t done;

	for (size_t i = 0; i < sizeof(gpas) / sizeof(gpas[0]); i++) {
		check_error(vas_read(vas, gpas[i], buf, sizeof(buf), &done));
		CHECK(done <= sizeof(buf));
		check_error(vas_write(vas, gpas[i], buf, 5000, &done));
		CHECK(done <= 5000);
		check_error(vas_read(vas, gpas[i], buf, 8, NULL));
		check_error(vas_write(vas, gpas[i], buf, 8, NULL));
	}
}

static void exercise_fields(struct vas *vas)
{
	uint64_t old, val;

	for (uint64_t gpa = 0; gpa < 70 * PAGE; gpa += PAGE) {
		check_error(vas_load_le64(vas, gpa, &val, __ATOMIC_ACQUIRE));
		check_error(vas_fetch_add_le64(vas, gpa, 1, &old, __ATOMIC_RELAXED));
	}
}

static void exercise_maps(struct vas *vas)
{
	struct vas_mapping *mapping;
	struct iovec iov[8];
	int nr;

	if (!vas_mapping_create(vas, PAGE, 2 * PAGE, 0, &mapping)) {
		CHECK(vas_mapping_addr(mapping));
		check_error(*(volatile char *)vas_mapping_addr(mapping));
		check_error(vas_mapping_request(mapping));
		vas_mapping_destroy(mapping);
	}
	if (vas_enter(vas))
		return;
	nr = vas_iov(vas, 2 * PAGE, 4 * PAGE, VAS_PROT_READ, iov, 8);
	check_error(nr);
	for (int i = 0; i < nr; i++)
		check_error(*(volatile char *)iov[i].iov_base);
	vas_leave(vas);
}

static void exercise_lists(struct vas *vas)
{
	struct vas_region regions[20];
	struct vas_event events[20];
	struct vas_info info;
	ssize_t nr = vas_regions(vas, regions, 20);

	check_error(nr);
	CHECK(nr <= 16);
	for (ssize_t i = 0; i < nr; i++)
		CHECK(memchr(regions[i].name, 0, sizeof(regions[i].name)));
	check_error(vas_region_at(vas, 8 * PAGE, &regions[0]));
	check_error(vas_region_by_id(vas, 1, &regions[0]));
	nr = vas_events(vas, events, 20);
	check_error(nr);
	CHECK(nr <= (ssize_t)VAS_MAX_EVENTS);
	for (ssize_t i = 0; i < nr && i < 20; i++) {
		CHECK(memchr(events[i].name, 0, sizeof(events[i].name)));
		check_error(vas_event_fd(vas, events[i].id));
		check_error(vas_doorbell_wait(vas, events[i].id, 0));
	}
	check_error(vas_event_find_by_name(vas, "bell", &events[0]));
	if (!vas_info(vas, &info))
		CHECK(memchr(info.name, 0, sizeof(info.name)));
}

/* Of this thread, whatever else the machine is busy with. */
static uint64_t work_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void victim_exercise(struct vas *vas)
{
	const struct vas_pattern pattern = { .bytes = "\x12\x34\x56", .len = 3 };
	const uint64_t start = work_ns();
	uint64_t found;
	size_t done;
	int order;

	exercise_copies(vas);
	exercise_fields(vas);
	exercise_maps(vas);
	exercise_lists(vas);
	check_error(vas_fill(vas, 0, 0x55, ~0ull, &done));
	check_error(vas_compare(vas, 0, "UUUU", 4, &order, &done));
	check_error(vas_search(vas, 0, ~0ull, &pattern, &found));
	check_error(vas_notify_fd(vas));
	check_error(vas_notifications(vas));
	CHECK(strlen(vas_error()) < 4096);
	/* A bound, not a benchmark: a loop that a peer can stretch is more work. (A wait: hangs.) */
	CHECK(work_ns() - start < MUCH_WORK_NS);
}

int victim_try_bind(int fd, uint32_t flags)
{
	struct vas *vas = (struct vas *)1;
	int err = vas_bind(fd, flags, &vas);

	if (err) {
		CHECK(err == -EPROTO || err == -EOPNOTSUPP || err == -EPERM || err == -EAGAIN ||
		      err == -ENOMEM || err == -EBUSY);
		CHECK(vas_error()[0]);
		return err;
	}
	victim_exercise(vas);
	vas_unbind(vas);
	return 0;
}

static int commit(struct vas_layout *layout)
{
	return vas_layout_commit(layout, 2000000, NULL);
}

void victim_exercise_owner(struct victim *v)
{
	const struct vas_region region = { .gpa = 20 * PAGE, .size = PAGE, .offset = 20 * PAGE };
	const uint64_t start = work_ns();
	struct vas_layout *layout;
	int err;

	victim_exercise(v->owner);
	err = vas_layout_begin(v->owner, &layout);
	check_error(err);
	if (!err) {
		/* From its own copy, so whatever the table says. */
		CHECK_OK(vas_layout_add(layout, &region, NULL));
		CHECK_OK(vas_layout_remove(layout, v->region_id));
		check_error(commit(layout));
	}
	CHECK(work_ns() - start < MUCH_WORK_NS);
}
