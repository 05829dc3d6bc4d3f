// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A provider whose queues are served elsewhere, by a TLB of their own: struct vas_iotlb, played by
 * the test. It is told what the view is told, and what it misses is asked for and never dropped.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/device.h>
#include <vas/serve.h>
#include <vas/vas.h>

#include "lib/bus/view.h"
#include "tests/harness.h"

#define PAGE	4096ull
#define PAGES	1024u /* iovas from 0 on */
#define ENTRIES 600u
#define RW	(VAS_IOMMU_READ | VAS_IOMMU_WRITE)
#define KIND	2

/* ---- the TLB ------------------------------------------------------------------------------ */

static struct tlb {
	int fd;
	uint64_t gpa[PAGES]; /* + 1; 0: not mapped */
	uint32_t nr, nr_refused[PAGES], nr_all, nr_waited;
	struct vas_iommu_want misses[PAGES];
	uint32_t first, last;
	bool is_in_use;
} tlb;

static int tlb_map(void *user, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot)
{
	uint64_t *at = &((struct tlb *)user)->gpa[iova / PAGE];

	if (size != PAGE || prot & ~RW)
		return -EINVAL;
	if (*at)
		return *at == gpa + 1 ? 0 : -EEXIST;
	if (tlb.nr == ENTRIES)
		return -ENOSPC;
	tlb.nr++;
	*at = gpa + 1;
	return 0;
}

static void tlb_refuse(void *user, uint64_t iova)
{
	((struct tlb *)user)->nr_refused[iova / PAGE]++;
}

static void tlb_unmap(void *user, uint64_t iova, uint64_t size)
{
	uint64_t i, end = size ? iova / PAGE + size / PAGE : PAGES;

	(void)user;
	for (i = iova / PAGE; i < end; i++) {
		tlb.nr -= tlb.gpa[i] != 0;
		tlb.gpa[i] = 0;
	}
	tlb.nr_all += !iova && !size;
}

static int tlb_invalidate(void *user, uint64_t timeout_ns)
{
	(void)timeout_ns;
	((struct tlb *)user)->nr_waited++;
	return tlb.is_in_use ? -ETIMEDOUT : 0;
}

static uint32_t tlb_misses(void *user, struct vas_iommu_want *wants, uint32_t nr)
{
	uint32_t i;
	eventfd_t count;

	(void)user;
	for (i = 0; i < nr && tlb.first < tlb.last; i++)
		wants[i] = tlb.misses[tlb.first++];
	if (tlb.first == tlb.last)
		eventfd_read(tlb.fd, &count);
	return i;
}

static void miss_page(uint64_t page)
{
	CHECK(tlb.last < PAGES);
	tlb.misses[tlb.last++] = (struct vas_iommu_want){ page * PAGE, VAS_IOMMU_READ };
	eventfd_write(tlb.fd, 1);
}

static struct vas_iotlb make_tlb(void)
{
	tlb.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(tlb.fd >= 0);
	return (struct vas_iotlb){ &tlb,      tlb.fd,	      tlb_map,	 tlb_refuse,
				   tlb_unmap, tlb_invalidate, tlb_misses };
}

/* ---- an owner that the test is ------------------------------------------------------------ */

static struct bus_view view;
static struct vas_iommu_slot *slot;
static int owner, provider;

static void begin(void)
{
	struct vas_iotlb iotlb = make_tlb();
	int socks[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks));
	owner = socks[0];
	provider = socks[1];
	bus_view_init(&view);
	CHECK_OK(bus_view_make(&view, ENTRIES, 1));
	CHECK_OK(vas_iommu_slot_claim(view.view, &slot));
	bus_view_set_other(&view, &iotlb);
	bus_view_begin(&view, 0);
	bus_view_connect(&view, provider);
	CHECK_EQ(tlb.nr_all, 1);
	CHECK_EQ(bus_view_settle(&view, 0), 1);
}

static void end(void)
{
	vas_iommu_slot_release(slot);
	bus_view_clean(&view);
	close(owner);
	close(provider);
	close(tlb.fd);
}

/* The next message of misses: how many; 0: there is none. */
static uint32_t receive(struct bus_message *message)
{
	int fds[BUS_MAX_FDS];
	uint32_t nr_fds;

	if (bus_receive(owner, message, fds, &nr_fds) == -EAGAIN)
		return 0;
	CHECK_EQ(message->type, BUS_MISSES);
	CHECK(message->misses.nr);
	return message->misses.nr;
}

static void tell(uint64_t page, uint64_t gpa, uint32_t prot, uint32_t number)
{
	struct bus_message message = { .maps = { .nr = 1, .count = view.count } };

	message.maps.at[0] = (struct bus_map){ page * PAGE, prot ? PAGE : 0, gpa, prot, number };
	CHECK_OK(bus_view_take_maps(&view, &message));
}

static void refuse(uint64_t page, uint32_t number)
{
	tell(page, 0, 0, number);
}

static bool is_in_view(uint64_t page)
{
	uint64_t len = PAGE, gpa;
	int err;

	vas_iommu_enter(slot);
	err = vas_iommu_translate(slot, page * PAGE, VAS_IOMMU_READ, &len, &gpa);
	vas_iommu_leave(slot);
	return !err;
}

TEST(what_is_missed_elsewhere_is_asked_for_and_told)
{
	struct bus_message message;

	begin();
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NO_LACK);
	CHECK_EQ(receive(&message), 0);
	miss_page(3);
	miss_page(4);
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NO_LACK);
	CHECK_EQ(receive(&message), 2);
	CHECK_EQ(message.misses.at[0].iova, 3 * PAGE);
	CHECK_EQ(message.misses.at[1].iova, 4 * PAGE);
	CHECK_EQ(message.misses.at[0].prot, VAS_IOMMU_READ);
	tell(3, 7 * PAGE, RW, message.misses.number);
	CHECK_EQ(tlb.gpa[3], 7 * PAGE + 1);
	CHECK(is_in_view(3));
	refuse(4, message.misses.number);
	CHECK_EQ(tlb.nr_refused[4], 1);
	/* What was answered is no question any more. */
	refuse(3, message.misses.number);
	refuse(4, message.misses.number);
	CHECK_EQ(tlb.nr_refused[3], 0);
	CHECK_EQ(tlb.nr_refused[4], 1);
	end();
}

TEST(a_refusal_that_is_older_than_a_miss_elsewhere_is_none_to_it)
{
	struct bus_message message;
	uint32_t first;

	begin();
	miss_page(5);
	bus_view_ask_for_other(&view);
	CHECK_EQ(receive(&message), 1);
	first = message.misses.number;
	miss_page(5);
	bus_view_ask_for_other(&view);
	CHECK_EQ(receive(&message), 1);
	refuse(5, first);
	CHECK_EQ(tlb.nr_refused[5], 0);
	refuse(5, message.misses.number);
	CHECK_EQ(tlb.nr_refused[5], 1);
	end();
}

TEST(a_refusal_of_the_views_question_is_none_to_one_from_elsewhere)
{
	struct bus_message message;
	uint32_t first;

	begin();
	CHECK_EQ(vas_iommu_ask(slot, 6 * PAGE, VAS_IOMMU_READ), -EINPROGRESS);
	CHECK_EQ(receive(&message), 1);
	first = message.misses.number;
	miss_page(6);
	bus_view_ask_for_other(&view);
	CHECK_EQ(receive(&message), 1);
	CHECK_EQ(message.misses.at[0].iova, 6 * PAGE);
	refuse(6, first);
	CHECK_EQ(tlb.nr_refused[6], 0);
	CHECK_EQ(vas_iommu_ask(slot, 6 * PAGE, VAS_IOMMU_READ), -EFAULT);
	/* And one map answers both. */
	CHECK_EQ(vas_iommu_ask(slot, 9 * PAGE, VAS_IOMMU_READ), -EINPROGRESS);
	miss_page(9);
	bus_view_ask_for_other(&view);
	tell(9, PAGE, RW, first);
	CHECK_EQ(tlb.gpa[9], PAGE + 1);
	CHECK(is_in_view(9));
	end();
}

/* They stay where they are: 192 at most have no answer, so the view's own have room. */
TEST(misses_wait_elsewhere_while_the_owner_does_not_answer)
{
	struct bus_message message;
	uint32_t page, nr = 0, i, k;

	begin();
	for (page = 0; page < 500; page++)
		miss_page(page);
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NEEDS_ANSWERS);
	CHECK(tlb.first > 100 && tlb.first <= BUS_MAX_AHEAD);
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NEEDS_ANSWERS);
	CHECK_EQ(vas_iommu_ask(slot, 900 * PAGE, VAS_IOMMU_READ), -EINPROGRESS);
	for (i = 0; i < 50 && nr < 501; i++) {
		while (receive(&message)) {
			for (k = 0; k < message.misses.nr; k++)
				tell(message.misses.at[k].iova / PAGE, 0, RW,
				     message.misses.number);
			nr += message.misses.nr;
		}
		bus_view_ask_for_other(&view);
	}
	CHECK_EQ(nr, 501);
	for (page = 0; page < 500; page++)
		CHECK(tlb.gpa[page]);
	end();
}

/* With the socket half full of what else is said: none of it is lost, and each is asked for once. */
TEST(misses_wait_elsewhere_while_the_socket_is_full)
{
	struct bus_message message = { 0 };
	uint32_t i, nr_sent = 0, nr = 0;

	begin();
	while (!bus_send_if_room(provider, BUS_CONFIG, &message))
		nr_sent++;
	for (i = 0; i < 100; i++)
		miss_page(i);
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NEEDS_ROOM);
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NEEDS_ROOM);
	CHECK(tlb.first <= BUS_MAX_MISSES);
	for (i = 0; i < nr_sent; i++)
		CHECK(recv(owner, &message, sizeof(message), MSG_DONTWAIT) > 0);
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NO_LACK);
	while (receive(&message)) {
		CHECK_EQ(message.misses.at[0].iova, nr * PAGE);
		nr += message.misses.nr;
	}
	CHECK_EQ(nr, 100);
	end();
}

TEST(without_a_connection_misses_wait_elsewhere)
{
	struct bus_message message;

	begin();
	bus_view_disconnect(&view);
	CHECK_EQ(tlb.nr_all, 2);
	miss_page(8);
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NEEDS_ROOM);
	CHECK_EQ(tlb.first, 0);
	bus_view_begin(&view, 5);
	bus_view_connect(&view, provider);
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NO_LACK);
	CHECK_EQ(receive(&message), 1);
	end();
}

TEST(what_is_unmapped_goes_elsewhere_as_well_and_is_waited_for)
{
	struct bus_message message = { .unmap = { 2 * PAGE, PAGE, 1 } };

	begin();
	tell(2, 0, RW, 0);
	tell(3, 0, RW, 0);
	CHECK_EQ(bus_view_settle(&view, 0), 0);
	tlb.is_in_use = true;
	bus_view_take_unmap(&view, &message);
	CHECK(!tlb.gpa[2] && tlb.gpa[3]);
	CHECK(!is_in_view(2) && is_in_view(3));
	CHECK_EQ(bus_view_settle(&view, 0), -ETIMEDOUT);
	CHECK_EQ(bus_view_settle(&view, 0), -ETIMEDOUT);
	tlb.is_in_use = false;
	CHECK_EQ(bus_view_settle(&view, 0), 1);
	CHECK_EQ(bus_view_settle(&view, 0), 0);
	/* One that was not seen. */
	bus_view_lose(&view, 4);
	CHECK(!tlb.gpa[3]);
	CHECK_EQ(tlb.nr_all, 2);
	CHECK_EQ(bus_view_settle(&view, 0), 1);
	end();
}

TEST(a_tlb_that_is_full_or_knows_otherwise_forgets)
{
	uint32_t page;

	begin();
	tell(2, 0, RW, 0);
	tell(2, PAGE, RW, 0);
	CHECK_EQ(tlb.gpa[2], PAGE + 1);
	for (page = 100; page < 100 + ENTRIES; page++)
		tell(page, 0, RW, 0);
	CHECK_EQ(tlb.nr_all, 2);
	CHECK(tlb.gpa[99 + ENTRIES] && !tlb.gpa[2]);
	/* Once there is none any more, nobody is told. */
	bus_view_set_other(&view, NULL);
	tell(3, 0, RW, 0);
	CHECK(!tlb.gpa[3] && is_in_view(3));
	CHECK_EQ(bus_view_ask_for_other(&view), BUS_NO_LACK);
	end();
}

/* ---- by a bus ------------------------------------------------------------------------------ */

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

static int answer(struct vas_bus_device *device, void *user, uint64_t iova, uint32_t prot)
{
	int err;

	(void)user;
	(void)prot;
	pthread_mutex_lock(&table_lock);
	err = vas_device_map(device, iova, PAGE, iova, RW);
	pthread_mutex_unlock(&table_lock);
	return err;
}

static struct vas *bound;
static struct vas_provider *it;
static struct vas_demand demand;

static void look(int timeout_ms)
{
	struct pollfd fd = { .fd = vas_provider_fd(it), .events = POLLIN };
	int err;

	poll(&fd, 1, timeout_ms);
	vas_notifications(bound);
	err = vas_provider_look(it, &demand);
	CHECK(!err || err == -EAGAIN);
	if (!err && demand.is_granted)
		vas_provider_answer(it, demand.change);
	CHECK_OK(vas_provider_settle(it, TEST_HANG_NS));
}

static int is_granted(void *unused)
{
	(void)unused;
	look(10);
	return demand.is_granted;
}

static int has_nothing_to_see(void *unused)
{
	struct pollfd fd = { .fd = vas_provider_fd(it), .events = POLLIN };

	(void)unused;
	look(0);
	return !poll(&fd, 1, 0);
}

static int has_all(void *unused)
{
	(void)unused;
	/* Only as there is something to see. */
	look(TEST_HANG_MS);
	return tlb.nr == 500;
}

/* Also with an owner that stands still: then its provider has nothing to do, and sleeps. */
TEST(a_provider_is_woken_by_misses_that_it_can_ask_for)
{
	struct vas_options options = { .limit = 16ull << 20, .name = "guest" };
	struct vas_device_options disk = { .name = "disk", .kind = KIND, .miss = answer };
	struct vas_offer offer = { .name = "disk",
				   .kind = KIND,
				   .nr_queues = 1,
				   .queue_size = 256,
				   .features = 1ull << VIRTIO_F_VERSION_1 |
					       1ull << VIRTIO_F_ACCESS_PLATFORM };
	struct vas_iotlb iotlb = make_tlb();
	struct vas_bus_device *device;
	struct vas_serve *serve;
	struct vas *vas;
	char path[64];
	int sock;

	snprintf(path, sizeof(path), "/tmp/vas-bus-iotlb.%d", getpid());
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_serve(vas, path, 0600, &serve));
	CHECK_OK(vas_device_add(vas, &disk, &device));
	CHECK_OK(vas_connect(path, 0, &bound, &sock));
	CHECK_OK(vas_device_offer(bound, sock, &offer, &it));
	test_wait(is_granted, NULL, TEST_HANG_MS);
	CHECK_OK(vas_provider_set_iotlb(it, &iotlb));
	pthread_mutex_lock(&table_lock);
	for (uint32_t page = 0; page < 500; page++)
		miss_page(page);
	test_wait(has_nothing_to_see, NULL, TEST_HANG_MS);
	CHECK(tlb.first < 500);
	pthread_mutex_unlock(&table_lock);
	test_wait(has_all, NULL, TEST_HANG_MS);
	vas_device_unmap(device, 0, 0);
	CHECK_OK(vas_provider_set_iotlb(it, NULL));
	miss_page(700);
	test_wait(has_nothing_to_see, NULL, TEST_HANG_MS);
	vas_provider_close(it);
	vas_unbind(bound);
	vas_device_remove(device);
	vas_serve_end(serve);
	vas_destroy(vas);
	close(tlb.fd);
}
