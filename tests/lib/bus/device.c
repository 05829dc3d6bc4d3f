// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A device on the bus, its owner, and providers that only answer what is demanded of them: grants,
 * death, takeover, what either side cannot do to the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vas/vas.h>
#include <vas/device.h>
#include <vas/dirty.h>
#include <vas/layout.h>
#include <vas/serve.h>

#include "core/protocol/device.h"
#include "tests/harness.h"
#include "lib/bus/message.h"
#include "lib/handle/handle.h"

#define RAM    (16ull << 20)
#define KIND   2
#define QUEUES 4u

static struct vas *vas;
static struct vas_serve *serve;
static struct vas_bus_device *device;
static char folder[32], path[64];
static uint32_t times_told;

static void told(struct vas_virtio_server *server, uint32_t what)
{
	(void)server;
	__atomic_fetch_or(&times_told, what, __ATOMIC_SEQ_CST);
}

/* Of this process alone: nobody's socket is in the way there. */
static int make_path(void)
{
	strcpy(folder, "/tmp/vas-bus-test.XXXXXX");
	if (!mkdtemp(folder))
		return -errno;
	snprintf(path, sizeof(path), "%s/guest", folder);
	return 0;
}

static void make_guest(void)
{
	struct vas_options options = { .limit = RAM, .name = "guest" };
	struct vas_device_options disk = { .name = "disk", .kind = KIND };
	uint64_t id;

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &(struct vas_region){ .size = RAM, .name = "ram" }, &id));
	CHECK_OK(make_path());
	CHECK_OK(vas_serve(vas, path, 0600, &serve));
	CHECK_OK(vas_device_add(vas, &disk, &device));
}

static void end_guest(void)
{
	vas_device_remove(device);
	vas_serve_end(serve);
	vas_destroy(vas);
	CHECK_OK(rmdir(folder));
}

static uint64_t more_features;

static struct vas_offer offer_of(const char *name)
{
	struct vas_offer offer = {
		.name = name,
		.kind = KIND,
		.nr_queues = QUEUES,
		.queue_size = 256,
		.config_size = 8,
		.features = 1ull << VIRTIO_F_VERSION_1 | 1 | more_features,
	};

	memset(offer.config, 0x5a, sizeof(offer.config));
	return offer;
}

/* ---- a provider --------------------------------------------------------------------------- */

struct worker {
	struct vas *vas;
	struct vas_provider *provider;
	struct vas_demand demand; /* of who calls turn() */
	struct vas_demand seen;	  /* its copy; under `seeing` */
	int err;
	uint32_t nr_enabled;
	bool is_mute; /* it answers nothing */
	bool stop;
	pthread_t thread;
};

/* As another process would: that races with whoever reads, and ThreadSanitizer does not see it. */
__attribute__((no_sanitize("thread"))) static void put(volatile void *to, const void *from,
						       size_t size)
{
	volatile uint64_t *words = to;
	const uint64_t *by = from;
	size_t i;

	for (i = 0; i < size / 8; i++)
		words[i] = by[i];
}

static pthread_mutex_t seeing = PTHREAD_MUTEX_INITIALIZER;

/* Its thread may run. */
static struct vas_demand demand_of(const struct worker *worker)
{
	struct vas_demand demand;

	pthread_mutex_lock(&seeing);
	demand = worker->seen;
	pthread_mutex_unlock(&seeing);
	return demand;
}

static uint32_t nr_enabled(const struct worker *worker)
{
	return __atomic_load_n(&worker->nr_enabled, __ATOMIC_ACQUIRE);
}

static void count_enabled(struct worker *worker)
{
	uint32_t i, nr = 0;

	for (i = 0; i < worker->demand.nr_queues; i++) {
		bool enabled = worker->demand.queues[i].enabled;

		nr += enabled;
		vas_provider_tell(worker->provider, i,
				  enabled ? VAS_DEVICE_QUEUE_RUNNING : VAS_DEVICE_QUEUE_STOPPED,
				  worker->demand.queues[i].base + 7);
	}
	__atomic_store_n(&worker->nr_enabled, nr, __ATOMIC_RELEASE);
}

static void turn(struct worker *worker)
{
	struct pollfd fd = { .fd = vas_provider_fd(worker->provider), .events = POLLIN };
	int err;

	poll(&fd, 1, 10);
	vas_notifications(worker->vas);
	err = vas_provider_look(worker->provider, &worker->demand);
	if (err == -EAGAIN) /* the owner has not yet written all of it */
		err = 0;
	__atomic_store_n(&worker->err, err, __ATOMIC_RELEASE);
	pthread_mutex_lock(&seeing);
	worker->seen = worker->demand;
	pthread_mutex_unlock(&seeing);
	if (err || !worker->demand.is_granted || worker->is_mute)
		return;
	count_enabled(worker);
	vas_provider_answer(worker->provider, worker->demand.change);
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	while (!__atomic_load_n(&worker->stop, __ATOMIC_ACQUIRE) && !worker->err)
		turn(worker);
	return NULL;
}

static void offer(struct worker *worker, const struct vas_offer *what)
{
	int sock;

	*worker = (struct worker){ 0 };
	CHECK_OK(vas_connect(path, 0, &worker->vas, &sock));
	CHECK_OK(vas_device_offer(worker->vas, sock, what, &worker->provider));
}

static void start_worker(struct worker *worker)
{
	struct vas_offer disk = offer_of("disk");

	offer(worker, &disk);
	CHECK_OK(pthread_create(&worker->thread, NULL, work, worker));
}

static void stop_thread(struct worker *worker)
{
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(worker->thread, NULL));
}

static void end_worker(struct worker *worker)
{
	stop_thread(worker);
	vas_provider_close(worker->provider);
	vas_unbind(worker->vas);
}

static int is_refused(void *arg)
{
	struct worker *worker = arg;

	turn(worker);
	return worker->err;
}

static void is_refused_with(struct vas_offer what, int err, const char *why)
{
	struct worker worker;

	offer(&worker, &what);
	test_wait(is_refused, &worker, TEST_HANG_MS);
	CHECK_EQ(worker.err, err);
	CHECK_HAS(vas_error(), why);
	vas_provider_close(worker.provider);
	vas_unbind(worker.vas);
}

static struct vas_device_info info(void)
{
	struct vas_device_info devices[2];

	CHECK_EQ(vas_devices(vas, devices, 2), 1);
	return devices[0];
}

/* ---- a transport -------------------------------------------------------------------------- */

static struct vas_virtio_server *server;
static struct vas_virtio_queue queue;

static void make_transport(void)
{
	CHECK_OK(vas_device_wait(device, TEST_HANG_NS));
	server = vas_device_server(device);
	__atomic_store_n(&server->told, told, __ATOMIC_RELEASE);
	queue = (struct vas_virtio_queue){
		.size = 128,
		.desc = 4096,
		.driver = 8192,
		.device = 12288,
		.kick_fd = eventfd(0, EFD_CLOEXEC),
		.call_fd = eventfd(0, EFD_CLOEXEC),
	};
}

static int has_enabled(void *arg)
{
	struct worker *worker = arg;

	return nr_enabled(worker) == 1;
}

/* ---- grants ------------------------------------------------------------------------------- */

TEST(a_thread_serves_what_it_has_offered)
{
	struct worker worker;
	uint8_t config[16];
	uint32_t base = 0;

	make_guest();
	CHECK_EQ(info().state, VAS_DEVICE_NEW);
	start_worker(&worker);
	make_transport();
	CHECK_EQ(info().state, VAS_DEVICE_SERVED);
	CHECK_EQ(info().provider_pid, getpid());
	CHECK_EQ(server->nr_queues, QUEUES);
	CHECK_EQ(server->queue_size, 256);
	server->ops->config_read(server, 6, config, sizeof(config));
	CHECK_EQ(config[1], 0x5a);
	CHECK_EQ(config[2], 0);

	CHECK_OK(server->ops->start(server, 1ull << VIRTIO_F_VERSION_1));
	CHECK_OK(server->ops->queue_start(server, 2, &queue));
	test_wait(has_enabled, &worker, TEST_HANG_MS);
	CHECK_EQ(demand_of(&worker).queues[2].desc, 4096);
	server->ops->queue_stop(server, 2, &base);
	CHECK_EQ(base, 7);
	CHECK_EQ(nr_enabled(&worker), 0);
	end_worker(&worker);
	end_guest();
}

/* It is the owner's to save and to hand on: one that is no place in the ring makes no sense there. */
TEST(a_queue_that_stands_nowhere_needs_a_reset)
{
	struct worker worker;
	uint32_t base = 0;

	make_guest();
	start_worker(&worker);
	make_transport();
	queue.base = UINT16_MAX - 3; /* the worker says seven more */
	CHECK_OK(server->ops->start(server, 1ull << VIRTIO_F_VERSION_1));
	CHECK_OK(server->ops->queue_start(server, 2, &queue));
	test_wait(has_enabled, &worker, TEST_HANG_MS);
	server->ops->queue_stop(server, 2, &base);
	CHECK_EQ(base, queue.base);
	CHECK(__atomic_load_n(&times_told, __ATOMIC_SEQ_CST) & VAS_VIRTIO_NEEDS_RESET);
	end_worker(&worker);
	end_guest();
}

static int refuse_all(struct vas_bus_device *of, void *user, uint64_t iova, uint32_t prot)
{
	(void)of, (void)user, (void)iova, (void)prot;
	return -EFAULT;
}

TEST(a_driver_that_knows_no_iommu_is_refused_a_device_behind_one)
{
	const uint64_t version_1 = 1ull << VIRTIO_F_VERSION_1;
	const struct vas_device_options options = { .name = "disk",
						    .kind = KIND,
						    .miss = refuse_all };
	struct worker worker;

	make_guest();
	more_features = 1ull << VIRTIO_F_ACCESS_PLATFORM;
	start_worker(&worker);
	make_transport();
	CHECK_EQ(server->features & more_features, 0);
	CHECK_OK(server->ops->accept(server, version_1));
	end_worker(&worker);
	vas_device_remove(device);
	CHECK_OK(vas_device_add(vas, &options, &device));
	start_worker(&worker);
	make_transport();
	CHECK_EQ(server->features & more_features, more_features);
	CHECK_EQ(server->ops->accept(server, version_1), -EINVAL);
	CHECK_OK(server->ops->accept(server, version_1 | more_features));
	end_worker(&worker);
	end_guest();
}

/* The eventfds that the provider has are the transport's. */
TEST(a_provider_gets_the_eventfds_of_its_device)
{
	struct worker worker;
	uint64_t count = 0;

	make_guest();
	start_worker(&worker);
	make_transport();
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	test_wait(has_enabled, &worker, TEST_HANG_MS);
	stop_thread(&worker);
	eventfd_write(queue.kick_fd, 3);
	CHECK_EQ(read(demand_of(&worker).queues[0].kick_fd, &count, sizeof(count)), 8);
	CHECK_EQ(count, 3);
	eventfd_write(demand_of(&worker).queues[0].call_fd, 5);
	CHECK_EQ(read(queue.call_fd, &count, sizeof(count)), 8);
	CHECK_EQ(count, 5);
	vas_provider_close(worker.provider);
	vas_unbind(worker.vas);
	end_guest();
}

TEST(an_offer_has_to_fit)
{
	struct worker worker;
	struct vas_offer what = offer_of("disk");

	make_guest();
	is_refused_with(offer_of("other"), -ENOENT, "the guest has no device other");
	what.kind = 1;
	is_refused_with(what, -ECONNREFUSED, "of another kind");
	what = offer_of("disk");
	what.features = 1;
	is_refused_with(what, -ECONNREFUSED, "VIRTIO_F_VERSION_1");
	start_worker(&worker);
	make_transport();
	end_worker(&worker);

	/* By now the guest may have seen what the first one has. */
	what = offer_of("disk");
	what.features = 1ull << VIRTIO_F_VERSION_1;
	is_refused_with(what, -ECONNREFUSED, "features that the offer has not");
	what = offer_of("disk");
	what.nr_queues = QUEUES - 1;
	is_refused_with(what, -ECONNREFUSED, "more queues");
	what = offer_of("disk");
	what.config_size = 9;
	is_refused_with(what, -ECONNREFUSED, "another size");
	end_guest();
}

TEST(what_makes_no_sense_is_refused_before_it_is_sent)
{
	struct vas_device_options bad[] = {
		{ .name = "", .kind = 1 },
		{ .name = "a name of more than 23 bytes", .kind = 1 },
		{ .name = "disk 2" },
		{ .name = "disk 2", .kind = 1, .nr_queues = VAS_DEVICE_MAX_QUEUES + 1 },
		{ .name = "disk 2", .kind = 1, .queue_size = VAS_DEVICE_QUEUE_SIZE + 1 },
	};
	struct vas_device_options same = { .name = "disk", .kind = 1 };
	struct vas_bus_device *other;
	struct vas_provider *provider;
	struct vas_offer what = offer_of("disk");
	struct vas *peer;
	int sock;

	make_guest();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_EQ(vas_device_add(vas, &bad[i], &other), -EINVAL);
	CHECK_EQ(vas_device_add(vas, &same, &other), -EEXIST);
	CHECK_OK(vas_connect(path, 0, &peer, &sock));
	CHECK_EQ(vas_device_add(peer, &same, &other), -EPERM);
	what.queue_size = 0;
	CHECK_EQ(vas_device_offer(peer, sock, &what, &provider), -EINVAL);
	vas_unbind(peer);
	end_guest();
}

/* ---- takeover ----------------------------------------------------------------------------- */

static int is_granted(void *arg)
{
	struct worker *worker = arg;

	return demand_of(worker).is_granted;
}

TEST(nobody_takes_over_from_who_lives)
{
	struct vas_offer disk = offer_of("disk");
	struct worker first, second;

	make_guest();
	start_worker(&first);
	make_transport();
	offer(&second, &disk);
	for (int i = 0; i < 20; i++)
		turn(&second);
	CHECK(!demand_of(&second).is_granted);
	CHECK_OK(second.err);
	end_worker(&first);
	CHECK_OK(pthread_create(&second.thread, NULL, work, &second));
	test_wait(is_granted, &second, TEST_HANG_MS);
	CHECK_EQ(info().grants, demand_of(&second).grant);
	end_worker(&second);
	end_guest();
}

static int has_ended(void *arg)
{
	struct worker *worker = arg;

	return __atomic_load_n(&worker->err, __ATOMIC_ACQUIRE);
}

TEST(who_serves_is_asked_to_leave_and_goes_when_it_likes)
{
	struct vas_offer disk = offer_of("disk");
	struct worker first, second;
	uint32_t life;

	make_guest();
	start_worker(&first);
	make_transport();
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	test_wait(has_enabled, &first, TEST_HANG_MS);
	life = demand_of(&first).queues[0].life;
	disk.flags = VAS_OFFER_TAKE_OVER;
	offer(&second, &disk);
	CHECK_OK(pthread_create(&second.thread, NULL, work, &second));
	test_wait(has_ended, &first, TEST_HANG_MS);
	CHECK_EQ(first.err, -ESHUTDOWN);
	CHECK(!is_granted(&second)); /* it has not gone yet */
	end_worker(&first);
	test_wait(has_enabled, &second, TEST_HANG_MS);
	CHECK_EQ(demand_of(&second).queues[0].life, life);
	CHECK_OK(has_ended(&second));

	/* It was one grant's wish: who has the device now stays. */
	start_worker(&first);
	CHECK_OK(server->ops->queue_start(server, 1, &queue));
	while (nr_enabled(&second) != 2)
		sched_yield();
	CHECK(!is_granted(&first) && !has_ended(&first) && !has_ended(&second));
	end_worker(&first);
	end_worker(&second);
	end_guest();
}

TEST(an_offer_that_is_refused_asks_nobody_to_leave)
{
	struct vas_offer less = offer_of("disk");
	struct worker worker;

	make_guest();
	start_worker(&worker);
	make_transport();
	less.flags = VAS_OFFER_TAKE_OVER;
	less.features &= ~1ull;
	is_refused_with(less, -ECONNREFUSED, "features that the offer has not");
	less = offer_of("disk");
	less.flags = VAS_OFFER_TAKE_OVER;
	less.nr_queues = 1;
	is_refused_with(less, -ECONNREFUSED, "more queues");
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	test_wait(has_enabled, &worker, TEST_HANG_MS);
	CHECK(!has_ended(&worker));
	end_worker(&worker);
	end_guest();
}

static int make_provider(int sock, bool answers)
{
	char name[64];
	struct worker worker;
	struct vas_offer disk = offer_of("disk");
	void *inflight;

	if (read(sock, name, sizeof(name)) != sizeof(name))
		return 1;
	memcpy(path, name, sizeof(path));
	offer(&worker, &disk);
	worker.is_mute = !answers;
	for (;;) {
		turn(&worker);
		if (worker.err)
			return 1;
		if (!worker.demand.is_granted || !worker.demand.queues[0].enabled)
			continue;
		inflight = vas_provider_inflight(worker.provider, 0);
		__atomic_store_n((uint32_t *)inflight, worker.demand.queues[0].life + 100,
				 __ATOMIC_RELEASE);
		if (write(sock, "", 1) != 1)
			return 1;
	}
}

ROLE(answering_provider)
{
	return make_provider(sock, true);
}

ROLE(mute_provider)
{
	return make_provider(sock, false);
}

static pid_t spawn_provider(const char *role, int *sock)
{
	pid_t pid = test_spawn(role, sock);

	CHECK_EQ(write(*sock, path, sizeof(path)), sizeof(path));
	return pid;
}

/* Killed while it serves: the entry is orphaned, and the next one finds what it kept. */
TEST(a_successor_finds_what_the_dead_one_kept)
{
	struct worker worker;
	char byte;
	int sock;
	pid_t pid;

	make_guest();
	pid = spawn_provider("answering_provider", &sock);
	make_transport();
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	CHECK_EQ(read(sock, &byte, 1), 1);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(info().state, VAS_DEVICE_ORPHANED);
	CHECK_EQ(info().provider_pid, 0);

	start_worker(&worker);
	test_wait(has_enabled, &worker, TEST_HANG_MS);
	CHECK_EQ(*(uint32_t *)vas_provider_inflight(worker.provider, 0),
		 demand_of(&worker).queues[0].life + 100);
	end_worker(&worker);
	end_guest();
}

/* A queue that stopped while nobody served it goes on in the same life; after a reset it does not. */
TEST(without_a_provider_nothing_waits)
{
	struct worker worker;
	uint32_t life, base = 0;

	make_guest();
	start_worker(&worker);
	make_transport();
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	test_wait(has_enabled, &worker, TEST_HANG_MS);
	life = demand_of(&worker).queues[0].life;
	end_worker(&worker);

	server->ops->queue_stop(server, 0, &base);
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	start_worker(&worker);
	test_wait(has_enabled, &worker, TEST_HANG_MS);
	CHECK_EQ(demand_of(&worker).queues[0].life, life);
	end_worker(&worker);

	server->ops->reset(server);
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	start_worker(&worker);
	test_wait(has_enabled, &worker, TEST_HANG_MS);
	CHECK_EQ(demand_of(&worker).queues[0].life, life + 1);
	end_worker(&worker);
	end_guest();
}

/* ---- who does not answer ------------------------------------------------------------------ */

TEST(a_process_that_does_not_stop_is_killed)
{
	int sock, status;
	char byte;
	pid_t pid;

	make_guest();
	pid = spawn_provider("mute_provider", &sock);
	make_transport();
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	CHECK_EQ(read(sock, &byte, 1), 1);
	server->ops->reset(server);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK_EQ(info().state, VAS_DEVICE_ORPHANED);
	CHECK_EQ(times_told & VAS_VIRTIO_NEEDS_RESET, 0);
	end_guest();
}

TEST(a_thread_that_does_not_stop_is_served_by_nobody_else)
{
	struct worker worker = { 0 };

	make_guest();
	start_worker(&worker);
	make_transport();
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	test_wait(has_enabled, &worker, TEST_HANG_MS);
	stop_thread(&worker);
	server->ops->reset(server);
	CHECK(times_told & VAS_VIRTIO_NEEDS_RESET);
	CHECK_EQ(server->ops->queue_start(server, 0, &queue), -EBUSY);
	CHECK_EQ(vas_device_kill(device), -EPERM);
	vas_provider_close(worker.provider);
	CHECK_EQ(vas_device_kill(device), -ESRCH);
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	vas_unbind(worker.vas);
	end_guest();
}

TEST(the_owner_may_kill_who_serves)
{
	int sock, status;
	pid_t pid;

	make_guest();
	pid = spawn_provider("answering_provider", &sock);
	make_transport();
	CHECK_OK(vas_device_kill(device));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	end_guest();
}

/* ---- what is told ------------------------------------------------------------------------- */

static int config_was_told(void *arg)
{
	(void)arg;
	return __atomic_load_n(&times_told, __ATOMIC_SEQ_CST) & VAS_VIRTIO_CONFIG_CHANGED;
}

static int reset_was_told(void *arg)
{
	(void)arg;
	return __atomic_load_n(&times_told, __ATOMIC_SEQ_CST) & VAS_VIRTIO_NEEDS_RESET;
}

TEST(a_change_of_the_config_space_is_told)
{
	uint8_t config[VAS_DEVICE_CONFIG_SIZE] = { 1, 2, 3 }, seen[3];
	struct worker worker;
	uint32_t generation;

	make_guest();
	start_worker(&worker);
	make_transport();
	test_wait(is_granted, &worker, TEST_HANG_MS);
	stop_thread(&worker);
	generation = server->ops->config_generation(server);
	__atomic_store_n(&times_told, 0, __ATOMIC_SEQ_CST);
	CHECK_OK(vas_provider_config(worker.provider, config));
	test_wait(config_was_told, NULL, TEST_HANG_MS);
	CHECK(server->ops->config_generation(server) != generation);
	server->ops->config_read(server, 0, seen, sizeof(seen));
	CHECK_MEM(seen, config, sizeof(seen));
	CHECK_OK(vas_provider_broken(worker.provider));
	test_wait(reset_was_told, NULL, TEST_HANG_MS);
	vas_provider_close(worker.provider);
	vas_unbind(worker.vas);
	end_guest();
}

static int is_over(void *arg)
{
	return __atomic_load_n(&((struct worker *)arg)->err, __ATOMIC_ACQUIRE);
}

TEST(a_device_that_is_removed_ends_its_provider)
{
	struct vas_device_options disk = { .name = "disk", .kind = KIND };
	struct worker worker;

	make_guest();
	start_worker(&worker);
	make_transport();
	test_wait(is_granted, &worker, TEST_HANG_MS);
	vas_device_remove(device);
	CHECK_EQ(vas_devices(vas, NULL, 0), 0);
	test_wait(is_over, &worker, TEST_HANG_MS);
	CHECK_EQ(worker.err, -ENODEV);
	end_worker(&worker);
	CHECK_OK(vas_device_add(vas, &disk, &device));
	CHECK_EQ(info().state, VAS_DEVICE_NEW);
	end_guest();
}

/* ---- as bytes ----------------------------------------------------------------------------- */

static struct vas *empty_vas(void)
{
	struct vas_options options = { .limit = RAM, .name = "elsewhere" };
	struct vas *empty;

	CHECK_OK(vas_create(&options, &empty));
	return empty;
}

/* A device that is served, whose second queue is started, with something in flight. */
static void make_served(struct worker *worker)
{
	make_guest();
	start_worker(worker);
	make_transport();
	test_wait(is_granted, worker, TEST_HANG_MS);
	CHECK_OK(server->ops->queue_start(server, 1, &queue));
	strcpy(vas_provider_inflight(worker->provider, 1), "in flight");
	strcpy(vas_provider_kept(worker->provider), "kept");
}

TEST(an_owner_that_dies_while_it_tells_has_told_nothing)
{
	struct vas_device_told before, after, nonsense;
	uint32_t sequence;
	struct vas_device_entry *entry;
	struct vas_device_info there;
	struct worker worker;

	make_served(&worker);
	entry = vas_extent(vas, VAS_EXT_DEVICES);
	CHECK_OK(vas_device_copy(entry, &before));
	memset(&nonsense, 0xff, sizeof(nonsense));
	sequence = __atomic_load_n(&entry->sequence, __ATOMIC_ACQUIRE);
	put(&entry->told[(sequence + 1) & 1], &nonsense, sizeof(nonsense));
	CHECK_OK(vas_device_copy(entry, &after));
	CHECK_MEM(&after, &before, sizeof(after));
	CHECK_EQ(vas_devices(vas, &there, 1), 1);
	CHECK_EQ(there.state, VAS_DEVICE_SERVED);
	end_worker(&worker);
	end_guest();
}

TEST(devices_are_saved_and_loaded)
{
	struct vas_device_options disk = { .name = "disk", .kind = KIND };
	struct vas_device_entry *entry, *loaded;
	struct vas_device_told left, arrived;
	struct vas_bus_device *other;
	struct vas_device_info there;
	struct worker worker;
	struct vas *elsewhere = empty_vas();
	void *bytes;
	size_t size;

	CHECK_OK(vas_devices_save(elsewhere, &bytes, &size));
	CHECK_EQ(size, 0);
	CHECK_OK(vas_devices_load(elsewhere, NULL, 0));
	make_served(&worker);
	CHECK_OK(vas_devices_save(vas, &bytes, &size));
	CHECK_EQ(vas_devices_load(vas, bytes, size), -EEXIST);
	CHECK_OK(vas_devices_load(elsewhere, bytes, size));
	CHECK_EQ(vas_devices(elsewhere, &there, 1), 1);
	CHECK_STR(there.name, "disk");
	CHECK_EQ(there.state, VAS_DEVICE_ORPHANED);
	CHECK_EQ(there.provider_pid, 0);
	CHECK_EQ(there.offered, info().offered);
	CHECK_EQ(there.nr_queues, QUEUES);
	entry = vas_extent(vas, VAS_EXT_DEVICES);
	loaded = vas_extent(elsewhere, VAS_EXT_DEVICES);
	CHECK_STR((char *)loaded->inflight[1], "in flight");
	CHECK_STR((char *)loaded->answer.kept, "kept");
	CHECK_OK(vas_device_copy(entry, &left));
	CHECK_OK(vas_device_copy(loaded, &arrived));
	CHECK_EQ(arrived.queues[1].life, left.queues[1].life);
	CHECK_EQ(arrived.queues[1].flags, VAS_DEVICE_QUEUE_KEPT);
	CHECK_EQ(arrived.queues[0].flags, 0);
	/* Its next owner has it as it was. */
	CHECK_OK(vas_device_add(elsewhere, &disk, &other));
	CHECK_OK(vas_device_copy(loaded, &arrived));
	CHECK_EQ(arrived.queues[1].flags, VAS_DEVICE_QUEUE_KEPT);
	vas_device_remove(other);
	vas_destroy(elsewhere);
	free(bytes);
	end_worker(&worker);
	end_guest();
}

/* Of the grant that comes next, for instance. */
TEST(an_answer_that_is_loaded_is_nobodys)
{
	const size_t at = sizeof(struct vas_device_told);
	struct vas *elsewhere = empty_vas();
	struct vas_device_answer *answer;
	struct vas_device_entry *loaded;
	struct worker worker;
	uint8_t *bytes;
	void *saved;
	size_t size;

	make_served(&worker);
	CHECK_OK(vas_devices_save(vas, &saved, &size));
	bytes = saved;
	answer = malloc(sizeof(*answer));
	memset(answer, 0x5a, sizeof(*answer));
	memcpy(bytes + at, answer, sizeof(*answer));
	CHECK_OK(vas_devices_load(elsewhere, bytes, size));
	loaded = vas_extent(elsewhere, VAS_EXT_DEVICES);
	CHECK_EQ(loaded->answer.answered, 0);
	CHECK_EQ(loaded->answer.unmapped, 0);
	CHECK_EQ(loaded->answer.released, 0);
	CHECK_EQ(loaded->answer.sections, 0);
	CHECK_EQ(loaded->answer.queues[1].section, 0);
	CHECK_EQ(loaded->answer.kept[0], 0x5a);
	free(answer);
	free(saved);
	vas_destroy(elsewhere);
	end_worker(&worker);
	end_guest();
}

/* Nothing is loaded of what makes no sense; what does is as if a hostile peer had written it. */
TEST(devices_that_make_no_sense_are_not_loaded)
{
	struct test_random random = { test_seed() };
	struct vas *elsewhere = empty_vas();
	struct worker worker;
	uint8_t *bytes, *twice;
	void *saved;
	size_t size;

	make_served(&worker);
	CHECK_OK(vas_devices_save(vas, &saved, &size));
	bytes = saved;
	for (size_t cut = 1; cut < size; cut += 1 + size / 100)
		CHECK_EQ(vas_devices_load(elsewhere, bytes, cut), -EPROTO);
	twice = malloc(2 * size);
	memcpy(twice, bytes, size);
	memcpy(twice + size, bytes, size);
	CHECK_EQ(vas_devices_load(elsewhere, twice, 2 * size), -EPROTO);
	CHECK_EQ(vas_devices(elsewhere, NULL, 0), 0);
	for (int round = 0; round < 500; round++) {
		struct vas_device_info seen;
		size_t at = test_random_below(&random, sizeof(struct vas_device_told));
		int err;

		memcpy(twice, bytes, size);
		twice[at] ^= (uint8_t)(1u << test_random_below(&random, 8));
		err = vas_devices_load(elsewhere, twice, size);
		CHECK(!err || err == -EPROTO);
		CHECK_EQ(vas_devices(elsewhere, &seen, 1), err ? 0 : 1);
		if (err)
			continue;
		vas_destroy(elsewhere);
		elsewhere = empty_vas();
	}
	free(twice);
	free(saved);
	vas_destroy(elsewhere);
	end_worker(&worker);
	end_guest();
}

/* ---- hostile ------------------------------------------------------------------------------ */

/* The owner decides from its own copy: whatever a peer makes of the entry. */
TEST(the_shared_entry_decides_nothing_for_the_owner)
{
	struct test_random random = { test_seed() };
	struct vas_device_entry *entry;
	struct worker worker;
	uint32_t base = 0;

	make_guest();
	start_worker(&worker);
	make_transport();
	stop_thread(&worker);
	entry = vas_extent(vas, VAS_EXT_DEVICES);
	for (int round = 0; round < 300; round++) {
		struct vas_device_info seen;
		uint64_t words[4 * 4096 / 8];

		for (size_t i = 0; i < sizeof(words) / 8; i++)
			words[i] = test_random_next(&random);
		put(entry, words, sizeof(words));
		vas_devices(vas, &seen, 1);
		vas_provider_look(worker.provider, &worker.demand);
		CHECK(worker.demand.nr_queues <= VAS_DEVICE_MAX_QUEUES);
	}
	vas_provider_close(worker.provider);
	vas_unbind(worker.vas);
	put(&entry->answer, &(typeof(entry->answer)){ 0 }, sizeof(entry->answer));
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
	server->ops->queue_stop(server, 0, &base);
	CHECK_EQ(info().nr_queues, QUEUES);
	CHECK_STR(info().name, "disk");
	CHECK_EQ(info().state, VAS_DEVICE_ORPHANED);
	end_guest();
}

TEST(a_peer_that_talks_nonsense_is_disconnected)
{
	char bytes[4096] = "nonsense";
	struct worker worker;
	struct vas *peer;
	int sock;

	make_guest();
	for (int i = 0; i < 50; i++) {
		CHECK_OK(vas_connect(path, 0, &peer, &sock));
		CHECK(send(sock, bytes, (size_t)(i * 80), MSG_NOSIGNAL) >= 0);
		fcntl(sock, F_SETFL, 0);
		CHECK(read(sock, bytes, sizeof(bytes)) <= 0);
		close(sock);
		vas_unbind(peer);
	}
	start_worker(&worker);
	make_transport();
	end_worker(&worker);
	end_guest();
}

/* It is a binder's tag that an offer stands on, and its life. */
TEST(who_is_not_bound_is_granted_nothing)
{
	struct bus_message message = {
		.offer = {
			.features = 1ull << VIRTIO_F_VERSION_1,
			.tag = 3u << 14 | 500,
			.kind = KIND,
			.nr_queues = 1,
			.queue_size = 1,
			.name = "disk",
		},
	};
	struct pollfd fd = { .events = POLLIN };
	struct vas *peer;
	int fds[BUS_MAX_FDS], sock;
	uint32_t nr_fds;

	make_guest();
	CHECK_OK(vas_connect(path, 0, &peer, &sock));
	CHECK_OK(bus_send(sock, BUS_OFFER, &message, NULL, 0));
	fd.fd = sock;
	CHECK_EQ(poll(&fd, 1, TEST_HANG_MS), 1);
	CHECK_OK(bus_receive(sock, &message, fds, &nr_fds));
	CHECK_EQ(message.type, BUS_REFUSED);
	CHECK_HAS(message.refused.text, "is not bound");
	close(sock);
	vas_unbind(peer);
	end_guest();
}

/* What the owner answers to an offer. */
static uint32_t answer_to_offer(struct vas *peer, int sock, const char *name)
{
	struct pollfd fd = { .fd = sock, .events = POLLIN };
	struct bus_message message = {
		.offer = {
			.features = 1ull << VIRTIO_F_VERSION_1,
			.tag = peer->proto.tag,
			.kind = KIND,
			.nr_queues = 1,
			.queue_size = 1,
		},
	};
	int fds[BUS_MAX_FDS];
	uint32_t nr_fds;

	strcpy(message.offer.name, name);
	CHECK_OK(bus_send(sock, BUS_OFFER, &message, NULL, 0));
	CHECK_EQ(poll(&fd, 1, TEST_HANG_MS), 1);
	CHECK_OK(bus_receive(sock, &message, fds, &nr_fds));
	return message.type;
}

/* With two, the second one's eventfds would go to whoever has the number of the connection next. */
TEST(a_connection_serves_one_device)
{
	const struct vas_device_options net = { .name = "net", .kind = KIND };
	struct vas_bus_device *second;
	struct vas *peer;
	int sock;

	make_guest();
	CHECK_OK(vas_device_add(vas, &net, &second));
	CHECK_OK(vas_connect(path, 0, &peer, &sock));
	CHECK_EQ(answer_to_offer(peer, sock, "disk"), BUS_GRANT);
	CHECK_EQ(answer_to_offer(peer, sock, "net"), BUS_REFUSED);
	CHECK_EQ(answer_to_offer(peer, sock, "disk"), BUS_GRANT);
	close(sock);
	vas_unbind(peer);
	vas_device_remove(second);
	end_guest();
}

/* ---- the socket --------------------------------------------------------------------------- */

TEST(the_mode_says_who_may_what)
{
	struct vas_serve *other;
	struct stat file;
	char name[80];

	make_guest();
	snprintf(name, sizeof(name), "%s.2", path);
	CHECK_EQ(vas_serve(vas, name, 0200, &other), -EINVAL);
	CHECK_EQ(vas_serve(vas, name, 0700, &other), -EINVAL);
	CHECK_OK(vas_serve(vas, name, 0640, &other));
	CHECK_OK(stat(name, &file));
	CHECK_EQ(file.st_mode & 0777, 0220);
	CHECK_EQ(vas_serve(vas, name, 0600, &other), -EADDRINUSE);
	vas_serve_end(other);
	end_guest();
}

/* In a process that is not root, and serves a vas of its own: what its own uid may do there. */
static int role_at(uint32_t mode)
{
	struct vas_options options = { .limit = RAM };
	struct vas_offer disk = offer_of("disk");
	struct vas_serve *other;
	struct vas_info seen;
	struct worker worker;
	int err, sock;

	if (make_path() || vas_create(&options, &vas) || vas_serve(vas, path, mode, &other))
		return -1;
	err = vas_connect(path, 0, &worker.vas, &sock);
	if (!err) {
		err = vas_info(worker.vas, &seen) ? -1 : (int)seen.role;
		if (err == VAS_ROLE_OBSERVER &&
		    vas_device_offer(worker.vas, sock, &disk, &worker.provider) != -EPERM)
			err = -1;
		vas_unbind(worker.vas);
	}
	vas_serve_end(other);
	vas_destroy(vas);
	return rmdir(folder) ? -1 : err;
}

TEST(a_user_gets_what_the_mode_gives)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!geteuid() && (setgid(65534) || setuid(65534)))
			_exit(errno == EINVAL ? 77 : 1);
		if (role_at(0600) != VAS_ROLE_BINDER)
			_exit(2);
		if (role_at(0400) != VAS_ROLE_OBSERVER)
			_exit(3);
		_exit(role_at(0066) == -EACCES ? 0 : 4);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		test_skip("this user namespace has no user but root");
	CHECK_EQ(status, 0);
}

TEST(a_socket_that_is_left_behind_is_replaced)
{
	struct vas_serve *other;
	char name[80];
	struct vas *peer;
	int status;
	pid_t pid;

	/* Beside the folder of the guest, which is made later. */
	CHECK_OK(make_path());
	snprintf(name, sizeof(name), "%s.2", folder);
	CHECK_OK(rmdir(folder));
	pid = fork();
	if (!pid) {
		struct vas_options options = { .limit = RAM };

		if (vas_create(&options, &vas) || vas_serve(vas, name, 0600, &other))
			_exit(1);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_OK(access(name, F_OK));
	CHECK_EQ(vas_connect(name, 0, &peer, NULL), -ECONNREFUSED);
	make_guest();
	CHECK_OK(vas_serve(vas, name, 0600, &other));
	CHECK_OK(vas_connect(name, 0, &peer, NULL));
	vas_unbind(peer);
	vas_serve_end(other);
	end_guest();
}

TEST(a_thread_is_served_over_a_socketpair)
{
	struct vas_offer disk = offer_of("disk");
	struct worker worker = { 0 };
	int pair[2];

	make_guest();
	CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	CHECK_OK(vas_serve_socket(serve, pair[1]));
	CHECK_OK(vas_recv_fds(pair[0], 0, &worker.vas));
	CHECK_OK(vas_device_offer(worker.vas, pair[0], &disk, &worker.provider));
	CHECK_OK(pthread_create(&worker.thread, NULL, work, &worker));
	make_transport();
	end_worker(&worker);
	end_guest();
}

TEST(a_vas_without_a_bus_has_no_devices)
{
	struct vas_options options = { .limit = RAM };
	struct vas_device_options disk = { .name = "disk", .kind = KIND };

	CHECK_OK(vas_create(&options, &vas));
	vas->sb.features_optional &= ~VAS_FEATURE_DEVICES;
	CHECK_EQ(vas_device_add(vas, &disk, &device), -EOPNOTSUPP);
	CHECK_EQ(vas_devices(vas, NULL, 0), 0);
	vas_destroy(vas);
}
