// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A virtio-iommu that threads serve: what its driver's requests do, by the rules of virtio, whom
 * they are told, and what a hostile one cannot do. And a disk behind it.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vas/iommu.h>
#include <vas/layout.h>
#include <vas/vas.h>

#include "device/blk/blk.h"
#include "device/iommu/domain.h"
#include "device/iommu/request.h"
#include "device/thread/server.h"
#include "harness.h"
#include "tests/device/front_end.h"

#define PAGE	   4096ull
#define RAM	   (1ull << 20)
#define RING	   65536u /* of each queue */
#define OUT	   0x40000u
#define IN	   0x41000u
#define FAULTS	   0x42000u
#define FIRST	   0x100u /* endpoints */
#define SECOND	   0x108u
#define FEATURES   (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX)
#define RW	   (VAS_IOMMU_READ | VAS_IOMMU_WRITE)
#define IOMMU_SIZE sizeof(struct virtio_iommu_config)

static struct vas *vas;
static uint8_t *ram;
static struct iommu iommu;
static struct thread_server *thread;
static struct vas_virtio_server *server;
static struct front_ring rings[2];
static uint32_t told; /* atomic */

/* ---- an endpoint's user: what it was told last --------------------------------------------- */

struct user {
	uint32_t nr_maps, nr_refused, nr_unmaps, nr_waits; /* atomic */
	uint64_t iova, size, gpa;
	uint32_t prot;
	int error;	 /* that wait() has */
	uint8_t *status; /* which is not written before wait() has returned */
};

static struct user first, second;

/*
 * The driver and the device take turns by the ring, whose memory each has mapped elsewhere: here a
 * sanitizer sees it.
 */
static uint32_t turns;

static void take_turn(void)
{
	__atomic_add_fetch(&turns, 1, __ATOMIC_SEQ_CST);
}

static void count(uint32_t *nr)
{
	__atomic_add_fetch(nr, 1, __ATOMIC_SEQ_CST);
}

static void user_map(void *arg, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot)
{
	struct user *user = arg;

	take_turn();
	user->iova = iova;
	user->size = size;
	user->gpa = gpa;
	user->prot = prot;
	count(&user->nr_maps);
	take_turn();
}

static void user_refuse(void *arg, uint64_t iova)
{
	struct user *user = arg;

	take_turn();
	user->iova = iova;
	count(&user->nr_refused);
	take_turn();
}

static void user_unmap(void *arg, uint64_t iova, uint64_t size)
{
	struct user *user = arg;

	take_turn();
	user->iova = iova;
	user->size = size;
	count(&user->nr_unmaps);
	take_turn();
}

static int user_wait(void *arg)
{
	struct user *user = arg;
	int error;

	take_turn();
	if (user->status)
		CHECK_EQ(*user->status, 0xff);
	count(&user->nr_waits);
	error = user->error;
	take_turn();
	return error;
}

static const struct iommu_endpoint_ops user_ops = { user_map, user_refuse, user_unmap, user_wait };

/* ---- the device, and its driver ------------------------------------------------------------ */

static void remember(struct vas_virtio_server *from, uint32_t what)
{
	(void)from;
	__atomic_fetch_or(&told, what, __ATOMIC_SEQ_CST);
}

static int is_told(void *arg)
{
	(void)arg;
	return __atomic_load_n(&told, __ATOMIC_SEQ_CST) & VAS_VIRTIO_NEEDS_RESET;
}

static void make_memory(void)
{
	const struct vas_options options = { .limit = RAM };
	struct vas_region region = { .size = RAM, .name = "ram" };

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	CHECK(ram != MAP_FAILED);
}

static void init_ring(struct front_ring *ring, uint64_t gpa)
{
	*ring = (struct front_ring){
		.desc = (void *)(ram + gpa),
		.avail = (void *)(ram + gpa + 16384),
		.used = (void *)(ram + gpa + 32768),
		.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
}

static int start_ring_at(struct vas_virtio_server *of, uint32_t index, struct front_ring *ring,
			 uint64_t desc, uint32_t base)
{
	const struct vas_virtio_queue queue = {
		.size = FRONT_RING_SIZE,
		.base = base,
		.desc = desc,
		.driver = desc + 16384,
		.device = desc + 32768,
		.kick_fd = ring->kick_fd,
		.call_fd = ring->call_fd,
	};

	return of->ops->queue_start(of, index, &queue);
}

static int start_ring(struct vas_virtio_server *of, uint32_t index, struct front_ring *ring,
		      uint64_t desc)
{
	return start_ring_at(of, index, ring, desc, 0);
}

static void begin(bool is_bypass)
{
	const struct iommu_options options = { is_bypass, FRONT_RING_SIZE };
	const struct thread_server_options served = { .name = "iommu",
						      .device_id = 23,
						      .config_size = IOMMU_SIZE };
	uint32_t i;

	make_memory();
	CHECK_OK(iommu_open(&iommu, &options));
	CHECK_OK(iommu_add_endpoint(&iommu, FIRST, &user_ops, &first));
	CHECK_OK(iommu_add_endpoint(&iommu, SECOND, &user_ops, &second));
	CHECK_OK(thread_server_create(vas, &iommu.device, &served, &thread));
	server = thread_server_virtio(thread);
	server->told = remember;
	CHECK_OK(server->ops->start(server, FEATURES | iommu.device.features));
	for (i = 0; i < 2; i++) {
		init_ring(&rings[i], i * RING);
		CHECK_OK(start_ring(server, i, &rings[i], i * RING));
	}
}

static void end(void)
{
	server->ops->reset(server);
	thread_server_destroy(thread);
	iommu_close(&iommu);
	munmap(ram, RAM);
	vas_destroy(vas);
}

static int is_answered(void *ring)
{
	return front_ring_take(ring) >= 0;
}

static void publish(struct front_ring *ring, uint16_t head)
{
	ring->avail->ring[ring->next_avail++ % FRONT_RING_SIZE] = head;
	ring->avail->ring[FRONT_RING_SIZE] = (uint16_t)(ring->next_avail + 0x4000);
	__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_RELEASE);
}

/* As a transport does: here, or by the queue's thread. */
static bool kick(struct front_ring *ring, bool is_call)
{
	if (is_call && server->ops->queue_kick(server, (uint32_t)(ring - rings)))
		return true;
	front_ring_kick(ring);
	return false;
}

/* How many bytes the device has written. */
static uint32_t send_sizes(uint64_t gpa, uint32_t out, uint32_t in)
{
	struct front_ring *ring = &rings[0];
	uint16_t used = ring->next_used;

	ring->desc[0] = (struct vas_virtq_desc){ gpa, out, VAS_VIRTQ_DESC_NEXT, 1 };
	ring->desc[1] = (struct vas_virtq_desc){ IN, in, VAS_VIRTQ_DESC_WRITE, 0 };
	memset(ram + IN, 0xff, 256);
	take_turn();
	publish(ring, 0);
	if (kick(ring, ring->next_avail % 2))
		CHECK(is_answered(ring));
	else
		test_wait(is_answered, ring, TEST_HANG_MS);
	take_turn();
	return ring->used->ring[used % FRONT_RING_SIZE].len;
}

/* The status of a request whose tail is all that is written. */
static uint8_t send(const void *request, uint32_t size)
{
	memcpy(ram + OUT, request, size);
	CHECK_EQ(send_sizes(OUT, size, sizeof(struct virtio_iommu_req_tail)), 4);
	CHECK(!ram[IN + 1] && !ram[IN + 2] && !ram[IN + 3]);
	return ram[IN];
}

static uint8_t attach(uint32_t domain, uint32_t endpoint, uint32_t flags)
{
	const struct virtio_iommu_req_attach request = {
		.head.type = VIRTIO_IOMMU_T_ATTACH,
		.domain = domain,
		.endpoint = endpoint,
		.flags = flags,
	};

	return send(&request, sizeof(request) - sizeof(request.tail));
}

static uint8_t detach(uint32_t domain, uint32_t endpoint)
{
	const struct virtio_iommu_req_detach request = {
		.head.type = VIRTIO_IOMMU_T_DETACH,
		.domain = domain,
		.endpoint = endpoint,
	};

	return send(&request, sizeof(request) - sizeof(request.tail));
}

static uint8_t map(uint32_t domain, uint64_t iova, uint64_t last, uint64_t gpa, uint32_t flags)
{
	const struct virtio_iommu_req_map request = {
		.head.type = VIRTIO_IOMMU_T_MAP,
		.domain = domain,
		.virt_start = iova,
		.virt_end = last,
		.phys_start = gpa,
		.flags = flags,
	};

	return send(&request, sizeof(request) - sizeof(request.tail));
}

static uint8_t unmap(uint32_t domain, uint64_t iova, uint64_t last)
{
	const struct virtio_iommu_req_unmap request = {
		.head.type = VIRTIO_IOMMU_T_UNMAP,
		.domain = domain,
		.virt_start = iova,
		.virt_end = last,
	};

	return send(&request, sizeof(request) - sizeof(request.tail));
}

static bool finds(struct user *user, uint32_t endpoint, uint64_t iova, uint32_t prot, uint64_t gpa)
{
	uint32_t refused = user->nr_refused;

	iommu_miss(&iommu, endpoint, iova, prot);
	return user->nr_refused == refused && user->gpa + (iova - user->iova) == gpa &&
	       !(prot & ~user->prot & RW);
}

/* ---- what requests do ---------------------------------------------------------------------- */

TEST(the_configuration_says_what_it_can)
{
	struct virtio_iommu_config config;

	begin(true);
	server->ops->config_read(server, 0, &config, sizeof(config));
	CHECK_EQ(config.page_size_mask, ~0xfffull);
	CHECK_EQ(config.input_range.start, 0);
	CHECK_EQ(config.input_range.end, IOMMU_LAST);
	CHECK_EQ(config.domain_range.end, UINT32_MAX);
	CHECK_EQ(config.probe_size, IOMMU_PROBE_SIZE);
	CHECK_EQ(config.bypass, 1);
	end();
}

TEST(a_probe_tells_where_interrupts_go)
{
	const struct virtio_iommu_probe_resv_mem *msi = (const void *)(ram + IN);
	struct virtio_iommu_req_probe probe = { .head.type = VIRTIO_IOMMU_T_PROBE,
						.endpoint = SECOND };
	const uint32_t all = IOMMU_PROBE_SIZE + 4;
	uint32_t i;

	begin(true);
	msi = (const void *)(ram + IN);
	memcpy(ram + OUT, &probe, sizeof(probe));
	CHECK_EQ(send_sizes(OUT, sizeof(probe), all), all);
	CHECK_EQ(ram[IN + IOMMU_PROBE_SIZE], VIRTIO_IOMMU_S_OK);
	CHECK_EQ(msi->head.type, VIRTIO_IOMMU_PROBE_T_RESV_MEM);
	CHECK_EQ(msi->head.length, 20);
	CHECK_EQ(msi->subtype, VIRTIO_IOMMU_RESV_MEM_T_MSI);
	CHECK_EQ(msi->start, 0xfee00000);
	CHECK_EQ(msi->end, 0xfeefffff);
	for (i = sizeof(*msi); i < IOMMU_PROBE_SIZE; i++)
		CHECK_EQ(ram[IN + i], 0);
	/* With less room than it has asked for; and of an endpoint that there is not. */
	CHECK_EQ(send_sizes(OUT, sizeof(probe), all - 8), all - 8);
	CHECK_EQ(ram[IN + IOMMU_PROBE_SIZE - 8], VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(ram[IN], 0);
	probe.endpoint = 7;
	memcpy(ram + OUT, &probe, sizeof(probe));
	CHECK_EQ(send_sizes(OUT, sizeof(probe), all), all);
	CHECK_EQ(ram[IN + IOMMU_PROBE_SIZE], VIRTIO_IOMMU_S_NOENT);
	end();
}

TEST(what_makes_no_sense_is_refused_by_virtios_rules)
{
	struct virtio_iommu_req_attach odd = { .head.type = VIRTIO_IOMMU_T_ATTACH,
					       .endpoint = FIRST,
					       .reserved = { 0, 0, 0, 1 } };

	begin(true);
	CHECK_EQ(map(1, 0, PAGE - 1, 0, RW), VIRTIO_IOMMU_S_NOENT);
	CHECK_EQ(unmap(1, 0, PAGE - 1), VIRTIO_IOMMU_S_NOENT);
	CHECK_EQ(attach(1, 7, 0), VIRTIO_IOMMU_S_NOENT);
	CHECK_EQ(attach(1, FIRST, 2), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(send(&odd, 20 - 4 + 4), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(detach(1, FIRST), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(detach(1, 7), VIRTIO_IOMMU_S_NOENT);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(attach(1, SECOND, VIRTIO_IOMMU_ATTACH_F_BYPASS), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(detach(2, FIRST), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(map(1, 0, PAGE - 1, 0, RW | VIRTIO_IOMMU_MAP_F_MMIO), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(map(1, 1, PAGE - 1, 0, RW), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(map(1, 0, PAGE, 0, RW), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(map(1, 0, PAGE - 1, 1, RW), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(map(1, PAGE, PAGE - 1, 0, RW), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(map(1, 0, UINT64_MAX, 0, RW), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(map(1, 0, 2 * PAGE - 1, ~(PAGE - 1), RW), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(map(1, IOMMU_LAST + 1 - PAGE, IOMMU_LAST + PAGE, 0, RW), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(map(1, IOMMU_MSI_LAST + 1 - PAGE, IOMMU_MSI_LAST, 0, RW), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(map(1, PAGE, 3 * PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, 2 * PAGE, 3 * PAGE - 1, PAGE, RW), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(unmap(1, PAGE, 2 * PAGE - 1), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(unmap(1, 2 * PAGE, 8 * PAGE - 1), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(unmap(1, 3 * PAGE, 2 * PAGE), VIRTIO_IOMMU_S_RANGE);
	CHECK(finds(&first, FIRST, 2 * PAGE, RW, PAGE));
	CHECK_EQ(unmap(1, 0, UINT64_MAX), VIRTIO_IOMMU_S_OK);
	CHECK(!finds(&first, FIRST, 2 * PAGE, RW, PAGE));
	CHECK(!is_told(NULL));
	end();
}

/* Examples of virtio's, by pages. */
TEST(an_unmap_takes_whole_mappings)
{
	begin(true);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(unmap(1, 0, 5 * PAGE - 1), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, 0, 5 * PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, 10 * PAGE, 15 * PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(unmap(1, 0, 4 * PAGE - 1), VIRTIO_IOMMU_S_RANGE);
	CHECK_EQ(unmap(1, 0, 15 * PAGE - 1), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(first.iova, 0);
	CHECK_EQ(first.size, 15 * PAGE);
	CHECK(!finds(&first, FIRST, 12 * PAGE, RW, 2 * PAGE));
	end();
}

TEST(an_unmap_is_answered_when_nobody_uses_it_any_more)
{
	begin(true);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(attach(1, SECOND, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, PAGE, 2 * PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(first.nr_maps, 1);
	CHECK_EQ(second.nr_maps, 1);
	first.status = second.status = ram + IN;
	first.nr_waits = second.nr_waits = 0;
	CHECK_EQ(unmap(1, PAGE, 2 * PAGE - 1), VIRTIO_IOMMU_S_OK);
	CHECK(first.nr_waits && second.nr_waits);
	/* Who does not let go is said so, as often as it is asked for. */
	second.error = -ETIMEDOUT;
	CHECK_EQ(map(1, PAGE, 2 * PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(unmap(1, PAGE, 2 * PAGE - 1), VIRTIO_IOMMU_S_DEVERR);
	CHECK_EQ(unmap(1, PAGE, 2 * PAGE - 1), VIRTIO_IOMMU_S_DEVERR);
	CHECK_EQ(detach(1, SECOND), VIRTIO_IOMMU_S_DEVERR);
	second.error = 0;
	CHECK_EQ(unmap(1, PAGE, 2 * PAGE - 1), VIRTIO_IOMMU_S_OK);
	first.status = second.status = NULL;
	end();
}

TEST(endpoints_of_different_domains_are_strangers)
{
	begin(false);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(attach(2, SECOND, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, PAGE, 2 * PAGE - 1, 0, VAS_IOMMU_READ), VIRTIO_IOMMU_S_OK);
	CHECK(finds(&first, FIRST, PAGE + 8, VAS_IOMMU_READ, 8));
	CHECK(!finds(&first, FIRST, PAGE + 8, VAS_IOMMU_WRITE, 8));
	CHECK(!finds(&second, SECOND, PAGE + 8, VAS_IOMMU_READ, 8));
	/* What nothing is allowed with is not there, whoever asks for nothing. */
	CHECK_EQ(map(1, 3 * PAGE, 4 * PAGE - 1, 0, 0), VIRTIO_IOMMU_S_OK);
	CHECK(!finds(&first, FIRST, 3 * PAGE, 0, 0));
	/* It goes over: what it could use is gone, what it may use is there. */
	first.nr_unmaps = 0;
	CHECK_EQ(map(2, 8 * PAGE, 9 * PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(attach(2, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(first.nr_unmaps, 1);
	CHECK_EQ(first.size, 0);
	CHECK(!finds(&first, FIRST, PAGE + 8, VAS_IOMMU_READ, 8));
	CHECK(finds(&first, FIRST, 8 * PAGE, VAS_IOMMU_WRITE, 0));
	/* A domain that everybody has left is no more, nor what it had. */
	CHECK_EQ(map(1, 8 * PAGE, 9 * PAGE - 1, 0, RW), VIRTIO_IOMMU_S_NOENT);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK(!finds(&first, FIRST, PAGE + 8, VAS_IOMMU_READ, 8));
	end();
}

static void set_bypass(uint8_t value)
{
	server->ops->config_write(server, offsetof(struct virtio_iommu_config, bypass), &value, 1);
}

TEST(who_is_in_no_domain_is_let_through_or_is_not)
{
	const uint64_t mask = 0;

	begin(true);
	CHECK(finds(&first, FIRST, 0x123456789, RW, 0x123456789));
	set_bypass(2);
	server->ops->config_write(server, 0, &mask, 8);
	CHECK(finds(&first, FIRST, 0x123456789, RW, 0x123456789));
	first.nr_unmaps = 0;
	set_bypass(0);
	CHECK_EQ(first.nr_unmaps, 1);
	CHECK(!finds(&first, FIRST, 0x123456789, RW, 0x123456789));
	/* In a domain that lets everything through. */
	CHECK_EQ(attach(1, FIRST, VIRTIO_IOMMU_ATTACH_F_BYPASS), VIRTIO_IOMMU_S_OK);
	CHECK(finds(&first, FIRST, 0x123456789, RW, 0x123456789));
	CHECK_EQ(map(1, 0, PAGE - 1, 0, RW), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(unmap(1, 0, PAGE - 1), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(attach(1, SECOND, 0), VIRTIO_IOMMU_S_INVAL);
	CHECK_EQ(detach(1, FIRST), VIRTIO_IOMMU_S_OK);
	CHECK(!finds(&first, FIRST, 0x123456789, RW, 0x123456789));
	end();
}

TEST(a_reset_leaves_no_domain)
{
	uint8_t bypass = 9;

	begin(true);
	set_bypass(0);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, PAGE, 2 * PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
	first.nr_unmaps = first.nr_waits = 0;
	server->ops->reset(server);
	CHECK(first.nr_unmaps && first.nr_waits);
	CHECK(!finds(&first, FIRST, PAGE, RW, 0));
	CHECK_EQ(iommu_unmap(&iommu, 1, 0, 0), VIRTIO_IOMMU_S_NOENT);
	/* virtio: that one stays. */
	server->ops->config_read(server, offsetof(struct virtio_iommu_config, bypass), &bypass, 1);
	CHECK_EQ(bypass, 0);
	end();
}

TEST(an_endpoint_that_goes_is_told_nothing_more)
{
	begin(true);
	CHECK_EQ(iommu_add_endpoint(&iommu, FIRST, &user_ops, &first), -EEXIST);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(attach(1, SECOND, 0), VIRTIO_IOMMU_S_OK);
	iommu_remove_endpoint(&iommu, FIRST);
	memset(&first, 0, sizeof(first));
	CHECK_EQ(map(1, PAGE, 2 * PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(unmap(1, PAGE, 2 * PAGE - 1), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_NOENT);
	iommu_miss(&iommu, FIRST, 0, RW);
	CHECK(!first.nr_maps && !first.nr_refused && !first.nr_unmaps && !first.nr_waits);
	end();
}

TEST(a_domain_has_a_bound)
{
	struct iommu_mapping mapping = { .flags = RW };
	uint32_t i;

	begin(true);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	for (i = 0; i < IOMMU_MAX_MAPPINGS; i++) {
		mapping.first = i * 2 * PAGE;
		mapping.last = mapping.first + PAGE - 1;
		CHECK_EQ(iommu_map(&iommu, 1, &mapping), VIRTIO_IOMMU_S_OK);
	}
	CHECK_EQ(map(1, 1ull << 40, (1ull << 40) + PAGE - 1, 0, RW), VIRTIO_IOMMU_S_NOMEM);
	CHECK_EQ(unmap(1, 0, PAGE - 1), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, 1ull << 40, (1ull << 40) + PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(unmap(1, 0, IOMMU_LAST), VIRTIO_IOMMU_S_OK);
	end();
}

/* ---- faults -------------------------------------------------------------------------------- */

static void post_buffer(uint16_t index, uint32_t len)
{
	rings[1].desc[index] =
		(struct vas_virtq_desc){ FAULTS + index * 64u, len, VAS_VIRTQ_DESC_WRITE, 0 };
	publish(&rings[1], index);
	kick(&rings[1], true);
}

static void fault_is(uint16_t index, uint8_t reason, uint64_t address, uint32_t flags)
{
	const struct virtio_iommu_fault *fault = (const void *)(ram + FAULTS + index * 64u);

	test_wait(is_answered, &rings[1], TEST_HANG_MS);
	CHECK_EQ(fault->reason, reason);
	CHECK_EQ(fault->endpoint, FIRST);
	CHECK_EQ(fault->address, address);
	CHECK_EQ(fault->flags, flags | VIRTIO_IOMMU_FAULT_F_ADDRESS);
}

TEST(faults_are_told)
{
	uint32_t i;

	begin(false);
	post_buffer(0, 64);
	iommu_miss(&iommu, FIRST, 0x1234, VAS_IOMMU_READ | VAS_IOMMU_MORE); /* nobody waits */
	iommu_miss(&iommu, FIRST, 0x2345, VAS_IOMMU_READ);
	fault_is(0, VIRTIO_IOMMU_FAULT_R_DOMAIN, 0x2345, VAS_IOMMU_READ);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, PAGE, 2 * PAGE - 1, 0, VAS_IOMMU_READ), VIRTIO_IOMMU_S_OK);
	iommu_miss(&iommu, FIRST, PAGE, VAS_IOMMU_WRITE);
	post_buffer(1, 64);
	fault_is(1, VIRTIO_IOMMU_FAULT_R_MAPPING, PAGE, VAS_IOMMU_WRITE);
	/* With no buffers as many are kept as there is room for; one that is too small has none. */
	for (i = 0; i < 1000; i++)
		iommu_miss(&iommu, FIRST, i * PAGE + 0x100000, VAS_IOMMU_WRITE);
	post_buffer(2, sizeof(struct virtio_iommu_fault) - 1);
	test_wait(is_answered, &rings[1], TEST_HANG_MS);
	for (i = 1; i < IOMMU_MAX_FAULTS; i++) {
		post_buffer(3, 64);
		fault_is(3, VIRTIO_IOMMU_FAULT_R_MAPPING, i * PAGE + 0x100000, VAS_IOMMU_WRITE);
	}
	iommu_miss(&iommu, FIRST, 0x7777, VAS_IOMMU_READ);
	post_buffer(3, 64);
	fault_is(3, VIRTIO_IOMMU_FAULT_R_MAPPING, 0x7777, VAS_IOMMU_READ);
	CHECK(!is_told(NULL));
	end();
}

/* ---- hostile drivers ----------------------------------------------------------------------- */

TEST(what_is_no_request_is_given_back)
{
	const struct virtio_iommu_req_map unknown = { .head.type = 0x77 };
	const struct virtio_iommu_req_map short_one = { .head.type = VIRTIO_IOMMU_T_MAP };

	begin(true);
	memcpy(ram + OUT, &unknown, sizeof(unknown));
	CHECK_EQ(send_sizes(OUT, sizeof(unknown), 64), 0);
	memcpy(ram + OUT, &short_one, sizeof(short_one));
	CHECK_EQ(send_sizes(OUT, 2, 4), 0);
	CHECK_EQ(send_sizes(OUT, sizeof(short_one) - 5, 4), 0);
	CHECK_EQ(send_sizes(OUT, sizeof(short_one) - 4, 3), 0);
	CHECK_EQ(ram[IN], 0xff);
	CHECK_EQ(send_sizes(OUT, sizeof(short_one) - 4, 4), 4);
	end();
}

TEST(a_request_outside_of_memory_is_told_of)
{
	begin(true);
	rings[0].desc[0] = (struct vas_virtq_desc){ RAM, 64, VAS_VIRTQ_DESC_NEXT, 1 };
	rings[0].desc[1] = (struct vas_virtq_desc){ IN, 64, VAS_VIRTQ_DESC_WRITE, 0 };
	publish(&rings[0], 0);
	kick(&rings[0], true);
	test_wait(is_told, NULL, TEST_HANG_MS);
	end();
}

/* A domain as pages, each of a mapping or of none. */
#define MODEL_PAGES 64u

static uint32_t model[MODEL_PAGES], nr_mappings;

static uint8_t model_map(uint32_t page, uint32_t nr)
{
	uint32_t i;

	for (i = page; i < page + nr; i++)
		if (model[i])
			return VIRTIO_IOMMU_S_INVAL;
	nr_mappings++;
	for (i = page; i < page + nr; i++)
		model[i] = nr_mappings;
	return VIRTIO_IOMMU_S_OK;
}

static uint8_t model_unmap(uint32_t page, uint32_t nr)
{
	uint32_t last = page + nr - 1;

	if ((page && model[page] && model[page - 1] == model[page]) ||
	    (last + 1 < MODEL_PAGES && model[last] && model[last + 1] == model[last]))
		return VIRTIO_IOMMU_S_RANGE;
	memset(&model[page], 0, nr * sizeof(model[0]));
	return VIRTIO_IOMMU_S_OK;
}

TEST(random_requests_do_what_a_simple_table_does)
{
	struct test_random random = { test_seed() };
	uint32_t i, page, nr;

	begin(false);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	for (i = 0; i < 20000; i++) {
		page = (uint32_t)test_random_below(&random, MODEL_PAGES);
		nr = 1 + (uint32_t)test_random_below(
				 &random, MODEL_PAGES - page < 5 ? MODEL_PAGES - page : 5);
		if (i % 2)
			CHECK_EQ(map(1, page * PAGE, (page + nr) * PAGE - 1, page * PAGE, RW),
				 model_map(page, nr));
		else
			CHECK_EQ(unmap(1, page * PAGE, (page + nr) * PAGE - 1),
				 model_unmap(page, nr));
		page = (uint32_t)test_random_below(&random, MODEL_PAGES);
		CHECK_EQ(finds(&first, FIRST, page * PAGE + 8, RW, page * PAGE + 8),
			 model[page] != 0);
	}
	end();
}

/* ---- who serves ---------------------------------------------------------------------------- */

static void *ring_often(void *arg)
{
	while (!__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE))
		server->ops->queue_kick(server, 0);
	return NULL;
}

/* A driver of two processors, of which one only rings; and the queue is stopped and started. */
TEST(whoever_rings_serves_the_requests)
{
	int is_ending = 0;
	pthread_t ringer;
	uint32_t i, base;

	begin(false);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_OK(pthread_create(&ringer, NULL, ring_often, &is_ending));
	for (i = 0; i < 1000; i++) {
		CHECK_EQ(map(1, 0, PAGE - 1, 0, RW), VIRTIO_IOMMU_S_OK);
		CHECK_EQ(unmap(1, 0, PAGE - 1), VIRTIO_IOMMU_S_OK);
		if (i % 10)
			continue;
		server->ops->queue_stop(server, 0, &base);
		CHECK_EQ(base, rings[0].next_avail);
		CHECK(!server->ops->queue_kick(server, 0));
		CHECK_OK(start_ring_at(server, 0, &rings[0], 0, base));
	}
	__atomic_store_n(&is_ending, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(ringer, NULL));
	CHECK_EQ(told, 0);
	end();
}

/* ---- elsewhere ----------------------------------------------------------------------------- */

static void load_into_another(const void *bytes, size_t size, int result)
{
	const struct iommu_options options = { false, FRONT_RING_SIZE };
	static struct iommu other;

	CHECK_OK(iommu_open(&other, &options));
	CHECK_OK(iommu_add_endpoint(&other, FIRST, &user_ops, &first));
	CHECK_OK(iommu_add_endpoint(&other, SECOND, &user_ops, &second));
	if (result <= 0)
		CHECK_EQ(iommu_load(&other, bytes, size), result);
	else
		iommu_load(&other, bytes, size);
	if (!result) {
		void *again;
		size_t len;

		CHECK_OK(iommu_save(&other, &again, &len));
		CHECK_EQ(len, size);
		CHECK_MEM(again, bytes, size);
		free(again);
	}
	iommu_close(&other);
}

TEST(the_tables_go_elsewhere)
{
	struct test_random random = { test_seed() };
	size_t size, i;
	uint8_t *bytes;

	begin(true);
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(attach(2, SECOND, VIRTIO_IOMMU_ATTACH_F_BYPASS), VIRTIO_IOMMU_S_OK);
	for (i = 0; i < 100; i++)
		CHECK_EQ(map(1, i * 2 * PAGE, (i * 2 + 1) * PAGE - 1, i * PAGE,
			     i % 2 ? VAS_IOMMU_READ : RW),
			 VIRTIO_IOMMU_S_OK);
	CHECK_OK(iommu_save(&iommu, (void **)&bytes, &size));
	load_into_another(bytes, size, 0);
	/* What is not all of it, or something else, is refused, or is another table. */
	for (i = 0; i < 64; i++)
		load_into_another(bytes, i, -EPROTO);
	load_into_another(bytes, size - 1, -EPROTO);
	for (i = 0; i < 5000; i++) {
		uint8_t *byte = &bytes[test_random_below(&random, size)], was = *byte;

		*byte = (uint8_t)test_random_next(&random);
		load_into_another(bytes, size, 1);
		*byte = was;
	}
	free(bytes);
	end();
}

/* ---- a disk behind it ---------------------------------------------------------------------- */

#define DISK_RING   0x80000u
#define DISK_HEADER 0x50000u
#define DISK_STATUS 0x51000u
#define DISK_DATA   0x52000u
#define IOVA	    0x7000000ull /* of gpa 0 */
#define SECTOR	    512u

static struct vas_iommu_view *view;
static struct thread_server *disk_thread;
static struct vas_virtio_server *disk;
static struct front_ring disk_ring;
static struct blk blk;

static int disk_miss(void *user, uint64_t iova, uint32_t prot)
{
	(void)user;
	iommu_miss(&iommu, FIRST, iova, prot);
	return 0;
}

static void disk_map(void *user, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot)
{
	(void)user;
	take_turn();
	CHECK_OK(vas_iommu_map(view, iova, size, gpa, prot));
}

static void disk_refuse(void *user, uint64_t iova)
{
	(void)user;
	take_turn();
	vas_iommu_refuse(view, iova);
}

static void disk_unmap(void *user, uint64_t iova, uint64_t size)
{
	(void)user;
	take_turn();
	vas_iommu_unmap(view, iova, size);
}

static int disk_wait(void *user)
{
	(void)user;
	take_turn();
	return vas_iommu_invalidate(view, TEST_HANG_NS);
}

static void make_disk(void)
{
	static const struct iommu_endpoint_ops ops = { disk_map, disk_refuse, disk_unmap,
						       disk_wait };
	const struct vas_iommu_options options = {
		.max_entries = 64, .nr_slots = 1, .miss_ns = TEST_HANG_NS, .miss = disk_miss
	};
	const struct blk_options memory = {
		.disk = { .kind = DISK_MEMORY, .size = 1 << 20 },
		.nr_queues = 1,
		.queue_size = FRONT_RING_SIZE,
	};
	struct thread_server_options served = { .name = "blk", .device_id = 2, .config_size = 64 };

	iommu_remove_endpoint(&iommu, FIRST);
	CHECK_OK(iommu_add_endpoint(&iommu, FIRST, &ops, NULL));
	CHECK_OK(vas_iommu_view_create(&options, &view));
	CHECK_OK(blk_open(&blk, &memory));
	served.view = view;
	CHECK_OK(thread_server_create(vas, &blk.device, &served, &disk_thread));
	disk = thread_server_virtio(disk_thread);
	disk->told = remember;
	init_ring(&disk_ring, DISK_RING);
	CHECK(disk->features & 1ull << VIRTIO_F_ACCESS_PLATFORM);
	CHECK_EQ(disk->ops->accept(disk, FEATURES), -EINVAL);
	CHECK_OK(disk->ops->accept(disk, FEATURES | 1ull << VIRTIO_F_ACCESS_PLATFORM));
	CHECK_OK(disk->ops->start(disk, FEATURES | 1ull << VIRTIO_F_ACCESS_PLATFORM));
	CHECK_EQ(attach(1, FIRST, 0), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, IOVA + DISK_RING, IOVA + RAM - 1, DISK_RING, RW), VIRTIO_IOMMU_S_OK);
	CHECK_EQ(map(1, IOVA + DISK_HEADER, IOVA + DISK_DATA - 1, DISK_HEADER, RW),
		 VIRTIO_IOMMU_S_OK);
	CHECK_OK(start_ring(disk, 0, &disk_ring, IOVA + DISK_RING));
}

static void end_disk(void)
{
	disk->ops->reset(disk);
	thread_server_destroy(disk_thread);
	blk_close(&blk);
	iommu_remove_endpoint(&iommu, FIRST);
	vas_iommu_view_destroy(view);
	end();
}

static void post_disk(uint32_t type)
{
	struct virtio_blk_outhdr *header = (void *)(ram + DISK_HEADER);

	header->type = type;
	header->sector = 8;
	ram[DISK_STATUS] = 0xff;
	front_ring_post(&disk_ring, 0, IOVA + DISK_HEADER, IOVA + DISK_DATA, SECTOR,
			type == VIRTIO_BLK_T_IN, IOVA + DISK_STATUS);
	front_ring_kick(&disk_ring);
}

static void allow_data(uint32_t prot)
{
	CHECK_EQ(map(1, IOVA + DISK_DATA, IOVA + DISK_DATA + PAGE - 1, DISK_DATA, prot),
		 VIRTIO_IOMMU_S_OK);
}

static void forbid_data(void)
{
	CHECK_EQ(unmap(1, IOVA + DISK_DATA, IOVA + DISK_DATA + PAGE - 1), VIRTIO_IOMMU_S_OK);
}

/* Each request is about memory that it may reach as long as it lasts. */
TEST(a_disk_reaches_what_is_mapped)
{
	int i;

	begin(false);
	make_disk();
	for (i = 0; i < 200; i++) {
		memset(ram + DISK_DATA, i, SECTOR);
		allow_data(VAS_IOMMU_READ);
		post_disk(VIRTIO_BLK_T_OUT);
		test_wait(is_answered, &disk_ring, TEST_HANG_MS);
		CHECK_EQ(ram[DISK_STATUS], VIRTIO_BLK_S_OK);
		forbid_data();
		memset(ram + DISK_DATA, 0xee, SECTOR);
		allow_data(VAS_IOMMU_WRITE);
		post_disk(VIRTIO_BLK_T_IN);
		test_wait(is_answered, &disk_ring, TEST_HANG_MS);
		CHECK_EQ(ram[DISK_STATUS], VIRTIO_BLK_S_OK);
		CHECK_EQ(ram[DISK_DATA], i % 256);
		forbid_data();
	}
	CHECK(!is_told(NULL));
	end_disk();
}

static int is_done_or_told(void *arg)
{
	return is_answered(arg) || is_told(NULL);
}

/*
 * A driver that takes memory back while a request is about it: when the UNMAP is answered, nothing
 * writes there any more, and if the disk had not got to it, it never does, and that is a fault.
 */
TEST(nothing_is_written_after_an_unmap_was_answered)
{
	uint32_t i, nr_faults = 0;

	begin(false);
	make_disk();
	for (i = 0; i < 300; i++) {
		memset(ram + DISK_DATA, 0xaa, SECTOR);
		allow_data(VAS_IOMMU_READ);
		post_disk(VIRTIO_BLK_T_OUT);
		test_wait(is_answered, &disk_ring, TEST_HANG_MS);
		forbid_data();
		allow_data(VAS_IOMMU_WRITE);
		post_disk(VIRTIO_BLK_T_IN);
		forbid_data();
		memset(ram + DISK_DATA, 0x55, SECTOR);
		test_wait(is_done_or_told, &disk_ring, TEST_HANG_MS);
		CHECK_EQ(ram[DISK_DATA], 0x55);
		CHECK_EQ(ram[DISK_DATA + SECTOR - 1], 0x55);
		if (!is_told(NULL))
			continue;
		nr_faults++;
		post_buffer(0, 64);
		fault_is(0, VIRTIO_IOMMU_FAULT_R_MAPPING, IOVA + DISK_DATA, VAS_IOMMU_WRITE);
		disk->ops->reset(disk);
		__atomic_store_n(&told, 0, __ATOMIC_SEQ_CST);
		memset(ram + DISK_RING, 0, 65536);
		disk_ring.next_avail = disk_ring.next_used = disk_ring.kicked = 0;
		CHECK_OK(disk->ops->start(disk, FEATURES | 1ull << VIRTIO_F_ACCESS_PLATFORM));
		CHECK_OK(start_ring(disk, 0, &disk_ring, IOVA + DISK_RING));
	}
	test_note("%u faults", nr_faults);
	end_disk();
}
