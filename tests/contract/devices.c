// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What holds for every device on the bus, whoever serves it: a thread of the owner's process or
 * another process, with an entropy device, or a module that a process keeps, with a disk. A rule is
 * run for each of these subjects.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/device.h>
#include <vas/dirty.h>
#include <vas/serve.h>
#include <vas/vas.h>

#include "device/blk/blk.h"
#include "device/bus/bus.h"
#include "device/rng/rng.h"
#include "tests/device/front_end.h"
#include "tests/harness.h"

#define RAM   (4ull << 20)
#define SPACE (1ull << 20) /* of the memory, for each device of the guest's */
#define DATA  65536u	   /* in there, behind the ring */
#define LEN   512u
#define ASKED 131072u /* of a disk: a header, and a status behind it */

/* ---- subjects ----------------------------------------------------------------------------- */

/* Who serves, or waits for, a device. */
struct provider {
	char device[24];
	char socket[64];
	char disk[64]; /* its file, which vas_blk.ko serves; "": an entropy device */
	int stop_fd;   /* readable: end. Of a process, the other end of its socket */
	pid_t pid;     /* 0: it is a thread */
	pthread_t thread;
	struct result {
		int err; /* of bus_serve() */
		char text[256];
	} result;
};

static void serve_until(const struct provider *provider, int stop_fd, struct result *result)
{
	const struct bus_options options = { .path = provider->socket,
					     .name = provider->device,
					     .look_fd = -1 };
	const struct blk_options disk = {
		.disk.path = provider->disk,
		.nr_queues = 1,
		.queue_size = FRONT_RING_SIZE,
		.by_module = true,
	};
	struct rng rng;
	struct blk blk;

	rng_open(&rng, FRONT_RING_SIZE);
	result->err = *provider->disk ? blk_open(&blk, &disk) : 0;
	if (!result->err)
		result->err =
			bus_serve(*provider->disk ? &blk.device : &rng.device, stop_fd, &options);
	snprintf(result->text, sizeof(result->text), "%s", vas_error());
}

static void *run_thread(void *arg)
{
	struct provider *provider = arg;

	serve_until(provider, provider->stop_fd, &provider->result);
	return NULL;
}

static void start_thread(struct provider *provider)
{
	provider->stop_fd = eventfd(0, EFD_CLOEXEC);
	CHECK_OK(pthread_create(&provider->thread, NULL, run_thread, provider));
}

static void join_thread(struct provider *provider)
{
	CHECK_OK(pthread_join(provider->thread, NULL));
	close(provider->stop_fd);
}

/* A thread has no sudden death: it gives the device back. */
static void end_thread(struct provider *provider)
{
	eventfd_write(provider->stop_fd, 1);
	join_thread(provider);
	CHECK_EQ(provider->result.err, -ECANCELED);
}

ROLE(provider)
{
	struct provider provider;
	struct result result = { 0 };

	if (read(sock, &provider, sizeof(provider)) != sizeof(provider))
		return 1;
	serve_until(&provider, sock, &result);
	return write(sock, &result, sizeof(result)) != sizeof(result);
}

static void start_process(struct provider *provider)
{
	provider->pid = test_spawn("provider", &provider->stop_fd);
	CHECK_EQ(write(provider->stop_fd, provider, sizeof(*provider)), sizeof(*provider));
}

/* Each has a disk of its own, which has no zeros: who serves one has it locked. */
static int make_disk(void)
{
	char sector[LEN];
	int fd = memfd_create("disk", MFD_CLOEXEC);

	memset(sector, 0x5a, LEN);
	CHECK_EQ(pwrite(fd, sector, LEN, 0), LEN);
	return fd;
}

static void start_module(struct provider *provider)
{
	int fd = make_disk(); /* until the case ends */

	snprintf(provider->disk, sizeof(provider->disk), "/proc/%d/fd/%d", getpid(), fd);
	start_process(provider);
}

static void join_process(struct provider *provider)
{
	int status;

	CHECK_EQ(recv(provider->stop_fd, &provider->result, sizeof(provider->result), MSG_WAITALL),
		 sizeof(provider->result));
	CHECK_EQ(waitpid(provider->pid, &status, 0), provider->pid);
	CHECK_EQ(status, 0);
	close(provider->stop_fd);
}

static void end_process(struct provider *provider)
{
	CHECK_OK(kill(provider->pid, SIGKILL));
	CHECK_EQ(waitpid(provider->pid, NULL, 0), provider->pid);
	close(provider->stop_fd);
}

static const struct subject {
	void (*start)(struct provider *provider);
	void (*join)(struct provider *provider); /* it ends by itself, with a result */
	void (*end)(struct provider *provider);	 /* at any moment */
	uint32_t kind, other_kind;
} a_thread = { start_thread, join_thread, end_thread, VIRTIO_ID_RNG, VIRTIO_ID_BLOCK },
  a_process = { start_process, join_process, end_process, VIRTIO_ID_RNG, VIRTIO_ID_BLOCK },
  a_module = { start_module, join_process, end_process, VIRTIO_ID_BLOCK, VIRTIO_ID_RNG };

static const struct subject *subject;

#define RULE(rule)                    \
	static void rule(void);       \
	TEST(a_thread_##rule)         \
	{                             \
		subject = &a_thread;  \
		rule();               \
	}                             \
	TEST(a_process_##rule)        \
	{                             \
		subject = &a_process; \
		rule();               \
	}                             \
	TEST(a_module_##rule)         \
	{                             \
		subject = &a_module;  \
		rule();               \
	}                             \
	static void rule(void)

/* ---- the guest ---------------------------------------------------------------------------- */

struct guest_device {
	const char *name;
	uint64_t at; /* gpa of its space */
	struct vas_bus_device *bus;
	struct vas_virtio_server *server;
	struct front_ring ring;
};

static struct vas *vas;
static struct vas_serve *serve;
static char path[64];
static uint8_t *ram;
static uint32_t times_broken;
static struct guest_device one = { .name = "one" }, two = { .name = "two", .at = SPACE };

static void told(struct vas_virtio_server *server, uint32_t what)
{
	(void)server;
	if (what & VAS_VIRTIO_NEEDS_RESET)
		__atomic_fetch_add(&times_broken, 1, __ATOMIC_SEQ_CST);
}

/* For who serves to do what it is told. */
static uint64_t answer_ns = TEST_HANG_NS;

static void plug(struct guest_device *device)
{
	const struct vas_device_options options = {
		.name = device->name,
		.kind = subject->kind,
		.answer_ns = answer_ns,
	};

	CHECK_OK(vas_device_add(vas, &options, &device->bus));
}

static void begin(void)
{
	const struct vas_options options = { .limit = RAM, .name = "guest" };
	struct vas_region region = { .size = RAM, .name = "ram" };

	if (subject == &a_module && access("/dev/vas_blk", F_OK))
		test_skip("there is no /dev/vas_blk: vas_blk.ko is not loaded");
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	CHECK(ram != MAP_FAILED);
	snprintf(path, sizeof(path), "/tmp/vas-contract.%d", getpid());
	CHECK_OK(vas_serve(vas, path, 0600, &serve));
	plug(&one);
}

static void end(void)
{
	CHECK_EQ(times_broken, 0);
	vas_device_remove(one.bus);
	vas_serve_end(serve);
	vas_destroy(vas);
	munmap(ram, RAM);
}

static void start(struct provider *provider, const struct guest_device *device)
{
	*provider = (struct provider){ 0 };
	strcpy(provider->device, device->name);
	strcpy(provider->socket, path);
	subject->start(provider);
}

/* A driver finds the device, and makes its ring. */
static void drive(struct guest_device *device)
{
	const struct vas_virtio_queue queue = {
		.size = FRONT_RING_SIZE,
		.desc = device->at,
		.driver = device->at + 16384,
		.device = device->at + 32768,
		.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call_fd = -1,
	};

	CHECK_OK(vas_device_wait(device->bus, TEST_HANG_NS));
	device->server = vas_device_server(device->bus);
	__atomic_store_n(&device->server->told, told, __ATOMIC_RELEASE);
	CHECK_OK(device->server->ops->start(
		device->server, device->server->features & ~(1ull << VIRTIO_F_RING_PACKED)));
	memset(ram + device->at, 0, DATA);
	device->ring = (struct front_ring){
		.desc = (void *)(ram + queue.desc),
		.avail = (void *)(ram + queue.driver),
		.used = (void *)(ram + queue.device),
		.kick_fd = queue.kick_fd,
		.call_fd = -1,
	};
	CHECK_OK(device->server->ops->queue_start(device->server, 0, &queue));
}

/* One descriptor; of a disk three, the same each time. */
static uint16_t put_request(struct guest_device *device)
{
	struct vas_virtq_desc *desc = device->ring.desc;
	uint64_t header = device->at + ASKED;
	uint16_t at = device->ring.next_avail % FRONT_RING_SIZE;
	struct vas_virtq_desc data = { device->at + DATA, LEN, VAS_VIRTQ_DESC_WRITE, 2 };

	if (subject->kind == VIRTIO_ID_RNG) {
		desc[at] = data;
		return at;
	}
	memset(ram + header, 0, sizeof(struct virtio_blk_outhdr)); /* VIRTIO_BLK_T_IN, sector 0 */
	data.flags |= VAS_VIRTQ_DESC_NEXT;
	desc[0] = (struct vas_virtq_desc){ header, sizeof(struct virtio_blk_outhdr),
					   VAS_VIRTQ_DESC_NEXT, 1 };
	desc[1] = data;
	desc[2] = (struct vas_virtq_desc){ header + 64, 1, VAS_VIRTQ_DESC_WRITE, 0 };
	return 0;
}

/* Ask for bytes. */
static void ask(struct guest_device *device)
{
	struct front_ring *ring = &device->ring;

	memset(ram + device->at + DATA, 0, LEN);
	ring->avail->ring[ring->next_avail % FRONT_RING_SIZE] = put_request(device);
	__atomic_store_n(&ring->avail->idx, ++ring->next_avail, __ATOMIC_RELEASE);
	eventfd_write(ring->kick_fd, 1);
}

static int is_answered(void *arg)
{
	return front_ring_take(&((struct guest_device *)arg)->ring) >= 0;
}

/* Once, and with what was asked for. */
static void expect_answer(struct guest_device *device)
{
	static const uint8_t zeros[LEN];

	test_wait(is_answered, device, TEST_HANG_MS);
	CHECK(memcmp(ram + device->at + DATA, zeros, LEN));
	CHECK(!is_answered(device));
}

static void use(struct guest_device *device, int times)
{
	while (times--) {
		ask(device);
		expect_answer(device);
	}
}

static struct vas_device_info info_of(const struct guest_device *device)
{
	struct vas_device_info infos[2];
	ssize_t nr = vas_devices(vas, infos, 2);

	while (nr-- > 0)
		if (!strcmp(infos[nr].name, device->name))
			return infos[nr];
	test_fail(__FILE__, __LINE__, "there is no device %s", device->name);
}

/* It is counted behind its answer, and at the latest when its queue has stopped. */
static int has_counted(void *nr)
{
	return info_of(&one).queues[0].counters.answered == (uintptr_t)nr;
}

static int is_nobodys(void *arg)
{
	(void)arg;
	return info_of(&one).state == VAS_DEVICE_ORPHANED;
}

/* ---- grant and serve ---------------------------------------------------------------------- */

RULE(is_granted_what_it_offers_for_all_to_see)
{
	struct provider it;
	struct vas_device_info info;

	begin();
	CHECK_EQ(info_of(&one).state, VAS_DEVICE_NEW);
	start(&it, &one);
	CHECK_OK(vas_device_wait(one.bus, TEST_HANG_NS));
	info = info_of(&one);
	CHECK_EQ(info.state, VAS_DEVICE_SERVED);
	CHECK_EQ(info.provider_pid, it.pid ? it.pid : getpid());
	CHECK_EQ(info.kind, subject->kind);
	subject->end(&it);
	test_wait(is_nobodys, NULL, TEST_HANG_MS);
	end();
}

RULE(does_each_request_once)
{
	struct vas_blocker blocker;
	struct provider it;

	begin();
	start(&it, &one);
	drive(&one);
	use(&one, 1000);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
	CHECK_OK(vas_thaw(vas));
	test_wait(has_counted, (void *)1000, TEST_HANG_MS);
	subject->end(&it);
	end();
}

RULE(is_refused_a_device_of_another_kind)
{
	const struct vas_device_options other = { .name = "two", .kind = subject->other_kind };
	struct provider it;

	begin();
	CHECK_OK(vas_device_add(vas, &other, &two.bus));
	start(&it, &two);
	subject->join(&it);
	CHECK_EQ(it.result.err, -ECONNREFUSED);
	CHECK_HAS(it.result.text, "of another kind");
	vas_device_remove(two.bus);
	end();
}

RULE(follows_a_driver_that_resets)
{
	struct provider it;

	begin();
	start(&it, &one);
	for (int i = 0; i < 10; i++) {
		drive(&one);
		use(&one, 10);
		one.server->ops->reset(one.server);
	}
	subject->end(&it);
	end();
}

/* ---- takeover and death ------------------------------------------------------------------- */

RULE(waits_for_one_that_serves_and_takes_over)
{
	struct provider first, second;
	uint32_t grants;

	begin();
	start(&first, &one);
	drive(&one);
	start(&second, &one);
	grants = info_of(&one).grants;
	use(&one, 100);
	CHECK_EQ(info_of(&one).grants, grants);
	subject->end(&first);
	use(&one, 100);
	CHECK_EQ(info_of(&one).grants, grants + 1);
	subject->end(&second);
	end();
}

/* What a driver asks for meanwhile waits for the next one. */
RULE(ends_and_the_next_one_goes_on)
{
	struct provider it;

	begin();
	start(&it, &one);
	drive(&one);
	for (int i = 0; i < 10; i++) {
		use(&one, 10);
		subject->end(&it);
		ask(&one);
		test_wait(is_nobodys, NULL, TEST_HANG_MS);
		CHECK(!is_answered(&one));
		start(&it, &one);
		expect_answer(&one);
	}
	subject->end(&it);
	end();
}

/* A driver that resets waits for nobody. */
RULE(ends_and_its_driver_resets_meanwhile)
{
	struct provider it;

	begin();
	start(&it, &one);
	drive(&one);
	use(&one, 10);
	subject->end(&it);
	ask(&one);
	one.server->ops->reset(one.server);
	drive(&one);
	start(&it, &one);
	use(&one, 10);
	subject->end(&it);
	end();
}

/* ---- freeze ------------------------------------------------------------------------------- */

RULE(writes_nothing_to_a_frozen_guest)
{
	struct vas_blocker blocker;
	struct provider it;
	uint8_t *copy = malloc(RAM);

	begin();
	start(&it, &one);
	drive(&one);
	for (int i = 0; i < 10; i++) {
		use(&one, 10);
		CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
		ask(&one);
		memcpy(copy, ram, RAM);
		poll(NULL, 0, 20);
		CHECK_MEM(ram, copy, RAM);
		CHECK_OK(vas_thaw(vas));
		expect_answer(&one);
	}
	free(copy);
	subject->end(&it);
	end();
}

/* ---- devices that come and go ------------------------------------------------------------- */

/* No trace is left, and one that is served beside it notices nothing. */
RULE(is_told_that_its_device_was_removed)
{
	struct provider it, beside;

	begin();
	start(&beside, &one);
	drive(&one);
	for (int i = 0; i < 10; i++) {
		plug(&two);
		CHECK_EQ(info_of(&two).state, VAS_DEVICE_NEW);
		start(&it, &two);
		drive(&two);
		ask(&one);
		use(&two, 10);
		expect_answer(&one);
		ask(&one);
		vas_device_remove(two.bus);
		expect_answer(&one);
		subject->join(&it);
		CHECK_EQ(it.result.err, -ENODEV);
		CHECK_STR(it.result.text, "device two was removed");
		CHECK_EQ(vas_devices(vas, NULL, 0), 1);
	}
	use(&one, 10);
	subject->end(&beside);
	end();
}

RULE(waits_for_a_device_that_is_removed)
{
	struct provider it, waiting;

	begin();
	plug(&two);
	start(&it, &two);
	drive(&two);
	start(&waiting, &two);
	use(&two, 10);
	vas_device_remove(two.bus);
	subject->join(&it);
	CHECK_EQ(it.result.err, -ENODEV);
	subject->join(&waiting);
	CHECK_EQ(waiting.result.err, -ENOENT);
	CHECK_HAS(waiting.result.text, "the guest has no device two");
	end();
}

/* Nobody waits for ever: it is killed. */
TEST(a_process_that_is_stopped_holds_up_no_removal)
{
	struct provider it;
	int status;

	subject = &a_process;
	answer_ns = 1000000000;
	begin();
	plug(&two);
	start(&it, &two);
	drive(&two);
	use(&two, 10);
	CHECK_OK(kill(it.pid, SIGSTOP));
	vas_device_remove(two.bus);
	CHECK_EQ(waitpid(it.pid, &status, 0), it.pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	end();
}
