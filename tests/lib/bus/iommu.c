// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A device on the bus behind its owner's IOMMU: what its provider is told, in which order, and what
 * becomes of it when the socket is full, or the other side does not do its part.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vas/device.h>
#include <vas/handover.h>
#include <vas/serve.h>
#include <vas/vas.h>

#include "lib/bus/bus.h"
#include "lib/bus/view.h"
#include "tests/harness.h"

#define RAM   (16ull << 20)
#define KIND  2
#define PAGE  4096ull
#define IOVA  0xfffffffffff00000ull /* of gpa 0; the last page ends with the address space */
#define PAGES 256u
#define RW    (VAS_IOMMU_READ | VAS_IOMMU_WRITE)
#define IOMMU (1ull << VIRTIO_F_ACCESS_PLATFORM)

static struct vas *vas;
static struct vas_serve *serve;
static struct vas_bus_device *device;
static char path[64];
static uint32_t times_told;

/* The guest's table: which pages from IOVA on are mapped. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_mapped[PAGES];
static bool is_silent; /* the owner answers nothing by itself */
static uint32_t nr_misses;
static uint64_t last_miss;
static uint32_t nr_ahead;      /* misses that nobody waits for */
static int (*miss_hook)(void); /* first of all in a miss, with no lock */

static void map_page_of(struct vas_bus_device *of, uint64_t page)
{
	CHECK_OK(vas_device_map(of, IOVA + page * PAGE, PAGE, page * PAGE, RW));
}

static void map_page(uint64_t page)
{
	map_page_of(device, page);
}

static int miss(struct vas_bus_device *of, void *user, uint64_t iova, uint32_t prot)
{
	uint64_t page = (iova - IOVA) / PAGE;
	int err = miss_hook ? miss_hook() : 0;

	CHECK(user == &device);
	CHECK(prot & RW && !(prot & ~(RW | VAS_IOMMU_MORE)));
	if (err)
		return err;
	pthread_mutex_lock(&table_lock);
	nr_misses++;
	nr_ahead += prot & VAS_IOMMU_MORE ? 1 : 0;
	last_miss = iova;
	if (is_silent)
		err = 0;
	else if (iova < IOVA || !is_mapped[page])
		err = -EFAULT;
	else
		map_page_of(of, page);
	pthread_mutex_unlock(&table_lock);
	return err;
}

static void unmap_page(uint64_t page)
{
	pthread_mutex_lock(&table_lock);
	is_mapped[page] = false;
	vas_device_unmap(device, IOVA + page * PAGE, PAGE);
	pthread_mutex_unlock(&table_lock);
}

static void told(struct vas_virtio_server *server, uint32_t what)
{
	(void)server;
	__atomic_fetch_or(&times_told, what, __ATOMIC_SEQ_CST);
}

static void make_guest(bool with_iommu)
{
	struct vas_options options = { .limit = RAM, .name = "guest" };
	struct vas_device_options disk = { .name = "disk", .kind = KIND };

	if (with_iommu) {
		disk.miss = miss;
		disk.miss_user = &device;
	}
	for (uint32_t i = 0; i < PAGES; i++)
		is_mapped[i] = true;
	snprintf(path, sizeof(path), "/tmp/vas-bus-iommu.%d", getpid());
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &(struct vas_region){ .size = RAM, .name = "ram" }, NULL));
	CHECK_OK(vas_serve(vas, path, 0600, &serve));
	CHECK_OK(vas_device_add(vas, &disk, &device));
	vas_device_server(device)->told = told;
}

static void end_guest(void)
{
	vas_device_remove(device);
	vas_serve_end(serve);
	vas_destroy(vas);
}

/* ---- a provider, whose parts a test does one by one ---------------------------------------- */

static struct provider {
	struct vas *vas;
	struct vas_provider *it;
	struct vas_demand demand;
	struct vas_iommu_view *view;
	struct vas_iommu_slot *slot;
	int err;
} own;

static void offer(struct provider *provider, uint64_t features)
{
	const struct vas_offer disk = {
		.name = "disk",
		.kind = KIND,
		.nr_queues = 1,
		.queue_size = 256,
		.features = 1ull << VIRTIO_F_VERSION_1 | features,
	};
	int sock;

	CHECK_OK(vas_connect(path, 0, &provider->vas, &sock));
	CHECK_OK(vas_device_offer(provider->vas, sock, &disk, &provider->it));
}

static void look(struct provider *provider)
{
	struct pollfd fd = { .fd = vas_provider_fd(provider->it), .events = POLLIN };

	poll(&fd, 1, 10);
	vas_notifications(provider->vas);
	provider->err = vas_provider_look(provider->it, &provider->demand);
	if (provider->err == -EAGAIN)
		provider->err = 0;
	if (!provider->err && provider->demand.is_granted)
		vas_provider_answer(provider->it, provider->demand.change);
}

static int is_granted(void *arg)
{
	struct provider *provider = arg;

	look(provider);
	return provider->err || provider->demand.is_granted;
}

static void settle(struct provider *provider)
{
	CHECK_OK(vas_provider_settle(provider->it, TEST_HANG_NS));
}

static void await_grant(struct provider *provider)
{
	test_wait(is_granted, provider, TEST_HANG_MS);
	CHECK_OK(provider->err);
	settle(provider);
}

static void begin(void)
{
	own = (struct provider){ 0 };
	make_guest(true);
	offer(&own, IOMMU);
	await_grant(&own);
	CHECK_OK(vas_provider_view(own.it, 512, 2, &own.view));
	CHECK_OK(vas_iommu_slot_claim(own.view, &own.slot));
}

static void close_own(void)
{
	vas_iommu_slot_release(own.slot);
	vas_provider_close(own.it);
	vas_unbind(own.vas);
}

static void end(void)
{
	close_own();
	end_guest();
}

/* The page's gpa, or -1. */
static int64_t find(uint64_t page)
{
	uint64_t len = PAGE, gpa;
	int err;

	if (vas_iommu_enter(own.slot))
		return -1;
	err = vas_iommu_translate(own.slot, IOVA + page * PAGE, RW, &len, &gpa);
	vas_iommu_leave(own.slot);
	return err ? -1 : (int64_t)gpa;
}

static int is_found(void *page)
{
	look(&own);
	settle(&own);
	return find(*(uint64_t *)page) >= 0;
}

static void await_page(uint64_t page)
{
	test_wait(is_found, &page, TEST_HANG_MS);
	CHECK_EQ(find(page), page * PAGE);
}

static uint64_t asked; /* page */
static int answer;

static int is_answered(void *arg)
{
	(void)arg;
	look(&own);
	settle(&own);
	answer = 0;
	if (find(asked) >= 0)
		return 1;
	answer = vas_iommu_ask(own.slot, IOVA + asked * PAGE, RW);
	return answer && answer != -EINPROGRESS && answer != -EAGAIN;
}

static int ask(uint64_t page)
{
	asked = page;
	test_wait(is_answered, NULL, TEST_HANG_MS);
	return answer;
}

/* ---- what is told -------------------------------------------------------------------------- */

TEST(a_miss_is_answered)
{
	begin();
	CHECK(own.demand.features == 0);
	CHECK(vas_device_server(device)->features & IOMMU);
	CHECK_EQ(find(3), -1);
	CHECK_OK(ask(3));
	CHECK_EQ(find(3), 3 * PAGE);
	CHECK_EQ(nr_misses, 1);
	/* The last page ends with the address space. */
	CHECK_OK(ask(PAGES - 1));
	CHECK_EQ(find(PAGES - 1), (PAGES - 1) * PAGE);
	unmap_page(4);
	CHECK_EQ(ask(4), -EFAULT);
	end();
}

static int was_asked(void *arg)
{
	bool is;

	(void)arg;
	vas_iommu_ask(own.slot, IOVA + 5 * PAGE, RW);
	pthread_mutex_lock(&table_lock);
	is = nr_misses > 0;
	pthread_mutex_unlock(&table_lock);
	return is;
}

TEST(an_answer_may_come_later)
{
	begin();
	is_silent = true;
	test_wait(was_asked, NULL, TEST_HANG_MS);
	CHECK_EQ(vas_iommu_ask(own.slot, IOVA + 5 * PAGE, RW), -EINPROGRESS);
	map_page(5);
	CHECK_OK(ask(5));
	CHECK_EQ(find(5), 5 * PAGE);
	nr_misses = 0;
	vas_device_unmap(device, IOVA + 5 * PAGE, PAGE);
	look(&own);
	settle(&own);
	test_wait(was_asked, NULL, TEST_HANG_MS);
	vas_device_refuse(device, IOVA + 5 * PAGE);
	CHECK_EQ(ask(5), -EFAULT);
	CHECK_EQ(nr_misses, 1);
	end();
}

/* Each is asked for once, however often it is missed, and all that go together are. */
TEST(many_misses_are_put_at_once)
{
	struct vas_iommu_want wants[64];

	begin();
	for (uint32_t i = 0; i < 64; i++)
		wants[i] = (struct vas_iommu_want){ IOVA + (10 + i) * PAGE, RW };
	CHECK_OK(vas_iommu_ask_ahead(own.slot, wants, 64));
	CHECK_OK(vas_iommu_ask_ahead(own.slot, wants, 64));
	for (uint64_t page = 10; page < 74; page++)
		await_page(page);
	CHECK_EQ(nr_misses, 64);
	CHECK_EQ(nr_ahead, 63); /* the last one is waited for */
	end();
}

static int invalidated;
static uint32_t is_invalidated; /* atomic */

static void *invalidate(void *arg)
{
	(void)arg;
	invalidated = vas_device_invalidate(device);
	__atomic_store_n(&is_invalidated, 1, __ATOMIC_RELEASE);
	return NULL;
}

static int has_invalidated(void *arg)
{
	(void)arg;
	look(&own);
	settle(&own);
	return __atomic_load_n(&is_invalidated, __ATOMIC_ACQUIRE);
}

static int is_gone(void *page)
{
	uint64_t len = PAGE, gpa;

	look(&own);
	return vas_iommu_translate(own.slot, IOVA + *(uint64_t *)page * PAGE, RW, &len, &gpa) != 0;
}

TEST(an_invalidation_waits_for_the_section)
{
	uint64_t page = 7;
	pthread_t thread;

	begin();
	CHECK_OK(ask(page));
	CHECK_OK(vas_iommu_enter(own.slot));
	unmap_page(page);
	CHECK_OK(pthread_create(&thread, NULL, invalidate, NULL));
	test_wait(is_gone, &page, TEST_HANG_MS);
	CHECK_EQ(vas_provider_settle(own.it, 1000000), -ETIMEDOUT);
	CHECK(vas_iommu_has_moved(own.slot));
	CHECK(!vas_device_has_unmapped(device->entry, device->told.grant, device->iommu.count));
	poll(NULL, 0, 200);
	CHECK(!__atomic_load_n(&is_invalidated, __ATOMIC_ACQUIRE));
	vas_iommu_leave(own.slot);
	test_wait(has_invalidated, NULL, TEST_HANG_MS);
	CHECK_OK(pthread_join(thread, NULL));
	CHECK_OK(invalidated);
	end();
}

/* It does nothing, and it finds nothing before it has done what it was told. */
TEST(who_is_in_no_section_is_not_waited_for)
{
	uint64_t generation;

	begin();
	CHECK_OK(ask(3));
	CHECK_OK(ask(4));
	CHECK_OK(vas_iommu_enter(own.slot));
	generation = vas_iommu_generation(own.slot);
	vas_iommu_leave(own.slot);
	unmap_page(3);
	CHECK_OK(vas_device_invalidate(device));
	CHECK(!vas_device_has_unmapped(device->entry, device->told.grant, device->iommu.count));
	CHECK_EQ(vas_iommu_enter(own.slot), -EAGAIN);
	look(&own);
	CHECK_EQ(vas_iommu_enter(own.slot), -EAGAIN);
	settle(&own);
	CHECK_OK(vas_iommu_enter(own.slot));
	/* What was found before is to be looked for again. */
	CHECK(vas_iommu_generation(own.slot) != generation);
	vas_iommu_leave(own.slot);
	CHECK_EQ(find(3), -1);
	CHECK_EQ(find(4), 4 * PAGE);
	CHECK(vas_device_has_unmapped(device->entry, device->told.grant, device->iommu.count));
	end();
}

TEST(a_section_that_began_afterwards_is_not_waited_for)
{
	struct vas_iommu_slot *other;
	uint64_t page = 3;

	begin();
	CHECK_OK(vas_iommu_slot_claim(own.view, &other));
	CHECK_OK(ask(page));
	CHECK_OK(vas_iommu_enter(other));
	unmap_page(page);
	test_wait(is_gone, &page, TEST_HANG_MS);
	CHECK_EQ(vas_provider_settle(own.it, 1000000), -ETIMEDOUT);
	CHECK_OK(vas_iommu_enter(own.slot));
	vas_iommu_leave(other);
	CHECK_OK(vas_device_invalidate(device));
	vas_iommu_leave(own.slot);
	vas_iommu_slot_release(other);
	end();
}

static void *enter_and_leave(void *arg)
{
	while (vas_iommu_enter(own.slot))
		__atomic_add_fetch((uint32_t *)arg, 1, __ATOMIC_RELAXED);
	vas_iommu_leave(own.slot);
	return NULL;
}

TEST(who_is_behind_goes_on_when_it_has_done_what_it_was_told)
{
	uint32_t nr_late = 0;
	pthread_t thread;

	begin();
	for (uint64_t page = 3; page < 30; page++) {
		CHECK_OK(ask(page));
		unmap_page(page);
		CHECK_OK(vas_device_invalidate(device));
		CHECK_OK(pthread_create(&thread, NULL, enter_and_leave, &nr_late));
		if (page % 3)
			poll(NULL, 0, (int)page % 3);
		look(&own);
		settle(&own);
		CHECK_OK(pthread_join(thread, NULL));
		CHECK_EQ(find(page), -1);
	}
	end();
}

TEST(a_tlb_comes_before_the_view_whose_sections_the_owner_sees)
{
	const struct vas_iotlb iotlb = { .fd = -1 };

	begin();
	CHECK_EQ(vas_provider_set_iotlb(own.it, &iotlb), -EBUSY);
	end();
}

TEST(what_was_never_told_costs_no_message)
{
	struct pollfd fd;

	begin();
	CHECK_OK(ask(8));
	while (fd = (struct pollfd){ .fd = vas_provider_fd(own.it), .events = POLLIN },
	       poll(&fd, 1, 0) > 0)
		look(&own);
	vas_device_unmap(device, IOVA + 9 * PAGE, 0);
	vas_device_unmap(device, 0, IOVA + 8 * PAGE);
	CHECK_OK(vas_device_invalidate(device));
	CHECK_EQ(poll(&fd, 1, 0), 0);
	CHECK_EQ(find(8), 8 * PAGE);
	end();
}

/*
 * Nobody waits for a provider that does not read. What it is told of then is that all is gone: what
 * it was told before does not come back, and what it asks for is answered once it reads.
 */
TEST(a_full_socket_loses_no_unmap_and_no_answer)
{
	uint64_t page = 1;
	pthread_t thread;

	begin();
	CHECK_OK(ask(1));
	for (uint32_t i = 0; i < 20000; i++)
		map_page(2 + i % 200);
	unmap_page(1);
	unmap_page(2);
	CHECK_OK(pthread_create(&thread, NULL, invalidate, NULL));
	CHECK_EQ(vas_iommu_ask(own.slot, IOVA + 250 * PAGE, RW), -EINPROGRESS);
	test_wait(has_invalidated, NULL, TEST_HANG_MS);
	CHECK_OK(pthread_join(thread, NULL));
	CHECK_OK(invalidated);
	for (int i = 0; i < 100; i++) {
		look(&own);
		settle(&own);
	}
	CHECK_EQ(find(1), -1);
	CHECK_EQ(find(2), -1);
	CHECK_OK(ask(250));
	CHECK_EQ(ask(page), -EFAULT);
	CHECK_EQ(ask(2), -EFAULT);
	CHECK_OK(ask(3));
	end();
}

/* In whatever order, whatever is lost: what the provider finds is what the table says. */
TEST(in_any_order_no_stale_page_is_found_after_an_invalidation)
{
	struct test_random random = { test_seed() };
	pthread_t thread;

	begin();
	for (int i = 0; i < 300; i++) {
		uint32_t nr = (uint32_t)test_random_below(&random, i % 10 ? 20 : 600);

		for (uint32_t k = 0; k < nr; k++) {
			uint64_t page = test_random_below(&random, PAGES);
			bool maps = test_random_below(&random, 4) > 0;

			pthread_mutex_lock(&table_lock);
			is_mapped[page] = maps;
			if (maps)
				map_page(page);
			else
				vas_device_unmap(device, IOVA + page * PAGE, PAGE);
			pthread_mutex_unlock(&table_lock);
		}
		is_invalidated = 0;
		CHECK_OK(pthread_create(&thread, NULL, invalidate, NULL));
		test_wait(has_invalidated, NULL, TEST_HANG_MS);
		CHECK_OK(pthread_join(thread, NULL));
		CHECK_OK(invalidated);
		for (uint64_t page = 0; page < PAGES; page++)
			CHECK(is_mapped[page] || find(page) == -1);
		asked = test_random_below(&random, PAGES);
		CHECK_EQ(ask(asked), is_mapped[asked] ? 0 : -EFAULT);
		/* It has taken what it was told by now. */
		for (uint64_t page = 0; page < PAGES; page++)
			CHECK(is_mapped[page] || find(page) == -1);
	}
	end();
}

/* ---- who goes ------------------------------------------------------------------------------ */

TEST(with_nobody_there_an_invalidation_is_done_at_once)
{
	begin();
	CHECK_OK(ask(3));
	close_own();
	unmap_page(3);
	CHECK_OK(vas_device_invalidate(device));
	map_page(5);
	vas_device_unmap(device, 0, 0);
	CHECK_OK(vas_device_invalidate(device));
	/* The next one knows of nothing. */
	own = (struct provider){ 0 };
	offer(&own, IOMMU);
	await_grant(&own);
	CHECK_OK(vas_provider_view(own.it, 512, 2, &own.view));
	CHECK_OK(vas_iommu_slot_claim(own.view, &own.slot));
	CHECK_EQ(find(5), -1);
	CHECK_EQ(ask(3), -EFAULT);
	CHECK_OK(ask(5));
	end();
}

static int is_disconnected(void *arg)
{
	(void)arg;
	look(&own);
	return own.demand.is_disconnected;
}

/* What it knew goes first; what it asks for waits until there is a connection. */
TEST(a_lost_connection_empties_the_view)
{
	pthread_t thread;
	int sock;

	begin();
	CHECK_OK(ask(3));
	CHECK_OK(ask(4));
	vas_serve_end(serve);
	test_wait(is_disconnected, NULL, TEST_HANG_MS);
	CHECK_EQ(find(3), -1);
	CHECK_EQ(vas_iommu_ask(own.slot, IOVA + 4 * PAGE, RW), -EAGAIN);
	unmap_page(3);
	CHECK_OK(pthread_create(&thread, NULL, invalidate, NULL));
	test_wait(has_invalidated, NULL, TEST_HANG_MS);
	CHECK_OK(pthread_join(thread, NULL));
	CHECK_OK(invalidated);
	CHECK_OK(vas_serve(vas, path, 0600, &serve));
	CHECK_OK(vas_reconnect(own.vas, path, &sock));
	CHECK_OK(vas_provider_resume(own.it, sock));
	CHECK_OK(ask(4));
	CHECK_EQ(ask(3), -EFAULT);
	end();
}

/* ---- another owner, another provider -------------------------------------------------------- */

static struct vas *next_vas;
static struct vas_bus_device *next_device;

static void *take_over(void *sock)
{
	struct vas_device_options disk = { .name = "disk", .kind = KIND, .miss = miss };
	size_t size;
	void *state;

	disk.miss_user = &device;
	CHECK_OK(vas_handover_take(*(int *)sock, 0, &next_vas, &state, &size));
	free(state);
	CHECK_OK(vas_device_add(next_vas, &disk, &next_device));
	return NULL;
}

static void hand_over(void)
{
	pthread_t thread;
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	CHECK_OK(pthread_create(&thread, NULL, take_over, &pair[1]));
	CHECK_OK(vas_handover_give(vas, pair[0], NULL, 0));
	CHECK_OK(pthread_join(thread, NULL));
	close(pair[0]);
	close(pair[1]);
}

static void *invalidate_next(void *arg)
{
	(void)arg;
	invalidated = vas_device_invalidate(next_device);
	__atomic_store_n(&is_invalidated, 1, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * The connection is the first owner's still. What that has told, and counted, is of another grant
 * than what the second one waits for.
 */
TEST(another_owner_waits_for_what_the_one_before_has_told)
{
	pthread_t thread;

	begin();
	CHECK_OK(ask(3));
	for (uint64_t page = 4; page < 8; page++) {
		CHECK_OK(ask(page));
		unmap_page(page);
		is_invalidated = 0;
		CHECK_OK(pthread_create(&thread, NULL, invalidate, NULL));
		test_wait(has_invalidated, NULL, TEST_HANG_MS);
		CHECK_OK(pthread_join(thread, NULL));
	}
	CHECK_OK(vas_iommu_enter(own.slot));
	hand_over();
	vas_device_unmap(next_device, IOVA + 3 * PAGE, PAGE);
	is_invalidated = 0;
	CHECK_OK(pthread_create(&thread, NULL, invalidate_next, NULL));
	look(&own);
	CHECK_OK(own.err);
	CHECK_EQ(vas_provider_settle(own.it, 1000000), -ETIMEDOUT);
	CHECK(!__atomic_load_n(&is_invalidated, __ATOMIC_ACQUIRE));
	vas_iommu_leave(own.slot);
	CHECK_EQ(find(3), -1);
	test_wait(has_invalidated, NULL, TEST_HANG_MS);
	CHECK_OK(pthread_join(thread, NULL));
	CHECK_OK(invalidated);
	close_own();
	vas_device_remove(device);
	vas_serve_end(serve);
	vas_device_remove(next_device);
	vas_destroy(next_vas);
	vas_unbind(vas);
}

static uint32_t nr_hooked; /* atomic */

static int is_first_refused(void *arg)
{
	bool is;

	(void)arg;
	pthread_mutex_lock(&vas->lock);
	is = device->iommu.nr_asking == 1;
	pthread_mutex_unlock(&vas->lock);
	return is;
}

static int is_second_hooked(void *arg)
{
	(void)arg;
	return __atomic_load_n(&nr_hooked, __ATOMIC_ACQUIRE) == 2;
}

static int is_first_hooked(void *arg)
{
	(void)arg;
	vas_iommu_ask(own.slot, IOVA + 3 * PAGE, RW);
	return __atomic_load_n(&nr_hooked, __ATOMIC_ACQUIRE) >= 1;
}

/* The first one's miss is answered no, but not before the second one has asked. */
static int refuse_the_first(void)
{
	if (__atomic_add_fetch(&nr_hooked, 1, __ATOMIC_ACQ_REL) == 1) {
		test_wait(is_second_hooked, NULL, TEST_HANG_MS);
		return -EFAULT;
	}
	test_wait(is_first_refused, NULL, TEST_HANG_MS);
	/* What was said so far has come before this is answered. */
	pthread_mutex_lock(&table_lock);
	map_page(200);
	vas_device_unmap(device, IOVA + 200 * PAGE, PAGE);
	pthread_mutex_unlock(&table_lock);
	CHECK_OK(vas_device_invalidate(device));
	return 0;
}

/* Two threads of the owner's: one answers who is gone. */
TEST(a_refusal_for_who_is_gone_is_none_for_the_next)
{
	struct vas_serve *second;
	char first_path[64];

	begin();
	strcpy(first_path, path);
	snprintf(path, sizeof(path), "/tmp/vas-bus-iommu-2.%d", getpid());
	CHECK_OK(vas_serve(vas, path, 0600, &second));
	miss_hook = refuse_the_first;
	test_wait(is_first_hooked, NULL, TEST_HANG_MS);
	close_own();
	own = (struct provider){ 0 };
	offer(&own, IOMMU);
	await_grant(&own);
	CHECK_OK(vas_provider_view(own.it, 512, 2, &own.view));
	CHECK_OK(vas_iommu_slot_claim(own.view, &own.slot));
	CHECK_OK(ask(3));
	CHECK_EQ(find(3), 3 * PAGE);
	close_own();
	vas_device_remove(device);
	vas_serve_end(second);
	vas_serve_end(serve);
	vas_destroy(vas);
}

/* ---- who does not answer -------------------------------------------------------------------- */

ROLE(mute)
{
	char go;

	if (read(sock, path, sizeof(path)) != sizeof(path))
		return 1;
	offer(&own, IOMMU);
	await_grant(&own);
	/* It is told, and does nothing of it. */
	if (write(sock, "y", 1) != 1 || read(sock, &go, 1) < 0)
		return 1;
	return 1;
}

TEST(who_does_not_answer_an_unmap_is_killed)
{
	int sock, status;
	pid_t pid;
	char ready;

	make_guest(true);
	pid = test_spawn("mute", &sock);
	CHECK_EQ(write(sock, path, sizeof(path)), sizeof(path));
	CHECK_EQ(read(sock, &ready, 1), 1);
	map_page(3);
	unmap_page(3);
	CHECK_OK(vas_device_invalidate(device));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(sock);
	end_guest();
}

/*
 * It answers late, as far as the clock says: but the owner has stood still meanwhile, and looks at
 * the answer before it counts that time.
 */
ROLE(late)
{
	struct timespec longer = { .tv_sec = 3 }, moment = { .tv_nsec = 100000000 };
	struct pollfd fd = { .events = POLLIN };

	if (read(sock, path, sizeof(path)) != sizeof(path))
		return 1;
	offer(&own, IOMMU);
	await_grant(&own);
	CHECK_OK(vas_provider_view(own.it, 512, 2, &own.view));
	CHECK_OK(vas_iommu_slot_claim(own.view, &own.slot));
	CHECK_OK(vas_iommu_enter(own.slot));
	fd.fd = vas_provider_fd(own.it);
	while (poll(&fd, 1, 0) > 0)
		look(&own);
	if (write(sock, "y", 1) != 1 || poll(&fd, 1, TEST_HANG_MS) != 1)
		return 1;
	nanosleep(&moment, NULL);
	kill(getppid(), SIGSTOP);
	nanosleep(&longer, NULL);
	kill(getppid(), SIGCONT);
	nanosleep(&moment, NULL);
	vas_iommu_leave(own.slot);
	look(&own);
	settle(&own);
	return write(sock, "z", 1) != 1 || read(sock, path, 1) < 0;
}

TEST(an_owner_that_stood_still_kills_nobody_for_that)
{
	char byte;
	int sock;

	make_guest(true);
	test_spawn("late", &sock);
	CHECK_EQ(write(sock, path, sizeof(path)), sizeof(path));
	CHECK_EQ(read(sock, &byte, 1), 1);
	vas_device_map(device, IOVA, PAGE, 0, RW);
	vas_device_unmap(device, IOVA, PAGE);
	CHECK_OK(vas_device_invalidate(device));
	CHECK_EQ(read(sock, &byte, 1), 1);
	CHECK_EQ(byte, 'z');
	close(sock);
	end_guest();
}

/* It cannot be killed: the guest is told that the device needs a reset. */
TEST(a_thread_that_does_not_answer_an_unmap_is_left_alone)
{
	begin();
	CHECK_OK(ask(3));
	CHECK_OK(vas_iommu_enter(own.slot));
	unmap_page(3);
	CHECK_EQ(vas_device_invalidate(device), -ETIMEDOUT);
	CHECK_HAS(vas_error(), "does not stop, and lives");
	CHECK_EQ(times_told & VAS_VIRTIO_NEEDS_RESET, VAS_VIRTIO_NEEDS_RESET);
	/* No second wait for it. */
	CHECK_EQ(vas_device_invalidate(device), -ETIMEDOUT);
	vas_iommu_leave(own.slot);
	close_own();
	CHECK_OK(vas_device_invalidate(device));
	end_guest();
}

/* ---- what makes no sense ------------------------------------------------------------------- */

TEST(who_knows_no_iommu_is_refused)
{
	make_guest(true);
	offer(&own, 0);
	test_wait(is_granted, &own, TEST_HANG_MS);
	CHECK_EQ(own.err, -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "device disk is behind an IOMMU, and who offers knows of none");
	vas_provider_close(own.it);
	vas_unbind(own.vas);
	end_guest();
}

TEST(without_an_iommu_the_driver_is_offered_none)
{
	make_guest(false);
	offer(&own, IOMMU);
	await_grant(&own);
	CHECK_EQ(vas_device_server(device)->features & IOMMU, 0);
	CHECK_EQ(vas_device_map(device, IOVA, PAGE, 0, RW), -EOPNOTSUPP);
	vas_device_unmap(device, 0, 0);
	CHECK_OK(vas_device_invalidate(device));
	/* Who speaks of one is not heard any more. */
	CHECK_OK(vas_provider_view(own.it, 512, 1, &own.view));
	CHECK_OK(vas_iommu_slot_claim(own.view, &own.slot));
	CHECK_EQ(vas_iommu_ask(own.slot, IOVA, RW), -EINPROGRESS);
	test_wait(is_disconnected, NULL, TEST_HANG_MS);
	end();
}

TEST(maps_that_make_no_sense_are_refused)
{
	begin();
	CHECK_EQ(vas_device_map(device, IOVA, 0, 0, RW), -EINVAL);
	CHECK_EQ(vas_device_map(device, IOVA, PAGE, 0, 0), -EINVAL);
	CHECK_EQ(vas_device_map(device, IOVA, PAGE, 0, 8), -EINVAL);
	CHECK_EQ(vas_device_map(device, IOVA, RAM, 0, RW), -EINVAL);
	CHECK_EQ(vas_device_map(device, 0, PAGE, ~0ull - 5, RW), -EINVAL);
	end();
}

/* A provider's own words, without the library's part of them. */
static void flood(int sock, uint32_t nr)
{
	struct bus_message message = { .misses = { .number = 1, .nr = BUS_MAX_MISSES } };

	for (uint32_t i = 0; i < nr; i++) {
		for (uint32_t k = 0; k < BUS_MAX_MISSES; k++)
			message.misses.at[k] =
				(struct bus_miss){ IOVA * i + k, k % 2 ? ~0u : 0, 0 };
		bus_send(sock, BUS_MISSES, &message, NULL, 0);
		message.misses.number += i;
	}
}

/* It reads nothing, and asks for what it likes: others are served, and it is killed in time. */
ROLE(flooding)
{
	struct bus_message message = { 0 };
	int own_sock;

	if (read(sock, path, sizeof(path)) != sizeof(path) ||
	    vas_connect(path, 0, &own.vas, &own_sock))
		return 1;
	message.offer.features = 1ull << VIRTIO_F_VERSION_1 | IOMMU;
	message.offer.kind = KIND;
	message.offer.nr_queues = 1;
	message.offer.queue_size = 256;
	strcpy(message.offer.name, "disk");
	message.offer.tag = own.vas->proto.tag;
	if (bus_send(own_sock, BUS_OFFER, &message, NULL, 0) || write(sock, "y", 1) != 1)
		return 1;
	for (;;)
		flood(own_sock, 1000);
}

TEST(a_flood_of_misses_holds_up_nobody)
{
	struct vas_device_options second = { .name = "second", .kind = KIND };
	struct vas_bus_device *other;
	struct provider provider = { 0 };
	struct vas_offer what = { .name = "second",
				  .kind = KIND,
				  .nr_queues = 1,
				  .queue_size = 256,
				  .features = 1ull << VIRTIO_F_VERSION_1 };
	int sock, other_sock, status;
	char ready;
	pid_t pid;

	make_guest(true);
	CHECK_OK(vas_device_add(vas, &second, &other));
	pid = test_spawn("flooding", &sock);
	CHECK_EQ(write(sock, path, sizeof(path)), sizeof(path));
	CHECK_EQ(read(sock, &ready, 1), 1);
	CHECK_OK(vas_device_wait(device, TEST_HANG_NS));
	CHECK_OK(vas_connect(path, 0, &provider.vas, &other_sock));
	CHECK_OK(vas_device_offer(provider.vas, other_sock, &what, &provider.it));
	test_wait(is_granted, &provider, TEST_HANG_MS);
	CHECK_OK(provider.err);
	map_page(3);
	unmap_page(3);
	CHECK_OK(vas_device_invalidate(device));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	vas_provider_close(provider.it);
	vas_unbind(provider.vas);
	vas_device_remove(other);
	close(sock);
	end_guest();
}

/* ---- an owner that may say anything -------------------------------------------------------- */

static struct bus_message maps(uint32_t count, uint64_t iova, uint64_t gpa)
{
	struct bus_message message = { .maps = { .count = count, .nr = 1 } };

	message.maps.at[0] = (struct bus_map){ iova, PAGE, gpa, RW, 0 };
	return message;
}

static int look_up(struct bus_view *view, uint64_t iova)
{
	uint64_t len = PAGE, gpa;

	(void)view;
	return vas_iommu_translate(own.slot, iova, RW, &len, &gpa) ? -1 : (int)(gpa / PAGE);
}

TEST(what_is_older_than_an_unmap_is_left_out)
{
	struct bus_message message;
	struct bus_view view;

	bus_view_init(&view);
	CHECK_OK(bus_view_make(&view, 64, 1));
	CHECK_OK(vas_iommu_slot_claim(view.view, &own.slot));
	bus_view_begin(&view, 0xffffffffu); /* counts wrap */
	message = maps(0xffffffffu, PAGE, PAGE);
	CHECK_OK(bus_view_take_maps(&view, &message));
	CHECK_EQ(look_up(&view, PAGE), 1);
	/* All is gone, as the entry says; what was sent before comes later. */
	bus_view_lose(&view, 2);
	CHECK_EQ(look_up(&view, PAGE), -1);
	CHECK_OK(bus_view_take_maps(&view, &message));
	message = maps(1, PAGE, PAGE);
	CHECK_OK(bus_view_take_maps(&view, &message));
	CHECK_EQ(look_up(&view, PAGE), -1);
	message = maps(2, PAGE, 2 * PAGE);
	CHECK_OK(bus_view_take_maps(&view, &message));
	bus_view_lose(&view, 2);
	CHECK_EQ(look_up(&view, PAGE), 2);
	/* One that was not seen takes all away. */
	message = maps(4, 5 * PAGE, 5 * PAGE);
	CHECK_OK(bus_view_take_maps(&view, &message));
	CHECK_EQ(look_up(&view, PAGE), -1);
	CHECK_EQ(look_up(&view, 5 * PAGE), 5);
	message = (struct bus_message){ .unmap = { 9 * PAGE, PAGE, 5 } };
	bus_view_take_unmap(&view, &message);
	CHECK_EQ(look_up(&view, 5 * PAGE), 5);
	message.unmap.count = 7;
	bus_view_take_unmap(&view, &message);
	CHECK_EQ(look_up(&view, 5 * PAGE), -1);
	CHECK_EQ(bus_view_settle(&view, 0), 1);
	CHECK_EQ(bus_view_settle(&view, 0), 0);
	vas_iommu_slot_release(own.slot);
	bus_view_clean(&view);
}

TEST(an_owners_nonsense_is_an_error_or_nothing)
{
	struct test_random random = { test_seed() };
	struct bus_message message;
	struct bus_view view;

	bus_view_init(&view);
	CHECK_OK(bus_view_make(&view, 64, 1));
	CHECK_OK(vas_iommu_slot_claim(view.view, &own.slot));
	bus_view_begin(&view, 1);
	message = maps(1, 0, 0);
	message.maps.nr = BUS_MAX_MAPS + 1;
	CHECK_EQ(bus_view_take_maps(&view, &message), -EPROTO);
	message = maps(1, 0, 0);
	message.maps.at[0].size = 0;
	CHECK_EQ(bus_view_take_maps(&view, &message), -EPROTO);
	for (int i = 0; i < 100000; i++) {
		uint64_t *words = (uint64_t *)&message;

		for (uint32_t k = 2; k < sizeof(message) / 8; k++)
			words[k] = test_random_next(&random);
		message.maps.nr = 1 + i % BUS_MAX_MAPS;
		message.maps.count = view.count + (uint32_t)test_random_below(&random, 3);
		for (uint32_t k = 0; k < message.maps.nr; k++)
			message.maps.at[k].prot &= 3;
		bus_view_take_maps(&view, &message);
		vas_iommu_ask(own.slot, words[4], RW);
	}
	CHECK(view.nr <= BUS_MAX_ASKED);
	vas_iommu_slot_release(own.slot);
	bus_view_clean(&view);
}

/* ---- an owner whose words and whose entry are seen in another order ------------------------- */

static struct vas_device_entry *entry;
static struct vas_device_told by_hand;
static int owners_end;

static void publish(uint32_t grant, uint32_t gone)
{
	by_hand.grant = grant;
	by_hand.gone = gone;
	by_hand.change++;
	vas_device_tell_unmaps(entry, VAS_DEVICE_UNMAPS(grant, gone));
	vas_device_publish(entry, &by_hand);
}

static void say(enum bus_message_type type, struct bus_message message)
{
	CHECK_OK(bus_send(owners_end, type, &message, NULL, 0));
}

/* The test is the owner of the device: grant 1, with all gone by the unmap 1. */
static void begin_by_hand(void)
{
	const struct vas_offer disk = {
		.name = "disk",
		.kind = KIND,
		.nr_queues = 1,
		.queue_size = 256,
		.features = 1ull << VIRTIO_F_VERSION_1 | IOMMU,
	};
	int sock, pair[2];

	make_guest(true);
	vas_device_remove(device);
	CHECK_OK(vas_connect(path, 0, &own.vas, &sock));
	close(sock);
	CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	owners_end = pair[0];
	CHECK_OK(vas_device_offer(own.vas, pair[1], &disk, &own.it));
	entry = bus_entry(vas, 0);
	by_hand = (struct vas_device_told){
		.state = VAS_DEVICE_SERVED,
		.kind = KIND,
		.name = "disk",
		.provider = own.vas->proto.tag,
		.nr_queues = 1,
		.queue_size = 256,
	};
	publish(1, 1);
	say(BUS_GRANT, (struct bus_message){ .grant = { 0, 1, 1 } });
	await_grant(&own);
	CHECK_OK(vas_provider_view(own.it, 64, 1, &own.view));
	CHECK_OK(vas_iommu_slot_claim(own.view, &own.slot));
	CHECK(vas_device_has_unmapped(entry, 1, 1));
}

static void end_by_hand(void)
{
	close_own();
	close(owners_end);
	vas_serve_end(serve);
	vas_destroy(vas);
}

/* What came after it is known from the entry already, and answered. */
TEST(a_grant_that_comes_late_brings_nothing_back)
{
	begin_by_hand();
	publish(2, 9);
	look(&own);
	settle(&own);
	CHECK(vas_device_has_unmapped(entry, 2, 9));
	say(BUS_GRANT, (struct bus_message){ .grant = { 0, 2, 5 } });
	say(BUS_MAPS, maps(5, IOVA + 3 * PAGE, 3 * PAGE));
	by_hand.state = VAS_DEVICE_NONE;
	publish(2, 9);
	look(&own);
	CHECK_EQ(own.err, -ENODEV);
	CHECK_EQ(find(3), -1);
	end_by_hand();
}

TEST(a_grant_is_not_answered_with_the_count_of_another)
{
	begin_by_hand();
	say(BUS_MAPS, maps(1, IOVA + 3 * PAGE, 3 * PAGE));
	look(&own);
	CHECK_EQ(find(3), 3 * PAGE);
	CHECK_OK(vas_iommu_enter(own.slot));
	for (uint32_t count = 2; count < 6; count++)
		say(BUS_UNMAP, (struct bus_message){ .unmap = { IOVA + 3 * PAGE, PAGE, count } });
	look(&own);
	CHECK_EQ(vas_provider_settle(own.it, 1000000), -ETIMEDOUT);
	publish(2, 2);
	look(&own);
	vas_iommu_leave(own.slot);
	settle(&own);
	CHECK(vas_device_has_unmapped(entry, 2, 2));
	CHECK(!vas_device_has_unmapped(entry, 2, 3));
	end_by_hand();
}

/* ---- a refusal, while others ask ------------------------------------------------------------ */

static struct bus_view shared;
static struct vas_iommu_slot *asker;
static bool asks_meanwhile;

void __real_vas_iommu_refuse(struct vas_iommu_view *view, uint64_t iova);
void __wrap_vas_iommu_refuse(struct vas_iommu_view *view, uint64_t iova);

/* The linker puts it before the function itself: another queue's thread asks, if it can by now. */
void __wrap_vas_iommu_refuse(struct vas_iommu_view *view, uint64_t iova)
{
	if (asks_meanwhile && !pthread_mutex_trylock(&shared.lock)) {
		pthread_mutex_unlock(&shared.lock);
		CHECK_EQ(vas_iommu_ask(asker, iova, RW), -EINPROGRESS);
	}
	__real_vas_iommu_refuse(view, iova);
}

TEST(a_refusal_is_none_to_who_asks_meanwhile)
{
	struct bus_message refusal = { .maps = { .count = 1, .nr = 1 } };
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	bus_view_init(&shared);
	CHECK_OK(bus_view_make(&shared, 64, 2));
	bus_view_begin(&shared, 1);
	bus_view_connect(&shared, pair[0]);
	CHECK_OK(vas_iommu_slot_claim(shared.view, &own.slot));
	CHECK_OK(vas_iommu_slot_claim(shared.view, &asker));
	CHECK_EQ(vas_iommu_ask(own.slot, IOVA, RW), -EINPROGRESS);
	refusal.maps.at[0] = (struct bus_map){ .iova = IOVA, .number = 1 };
	asks_meanwhile = true;
	CHECK_OK(bus_view_take_maps(&shared, &refusal));
	asks_meanwhile = false;
	CHECK_EQ(vas_iommu_ask(own.slot, IOVA, RW), -EFAULT);
	CHECK_EQ(vas_iommu_ask(asker, IOVA, RW), -EINPROGRESS);
	vas_iommu_slot_release(asker);
	vas_iommu_slot_release(own.slot);
	bus_view_clean(&shared);
	close(pair[0]);
	close(pair[1]);
}
