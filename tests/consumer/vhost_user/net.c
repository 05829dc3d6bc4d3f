// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A network device that dpdk-testpmd serves: what the driver sends comes back, a frame once and as it
 * was, while its owner does what owners do.
 */
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vas/vas.h>
#include <vas/dirty.h>
#include <vas/vhost_user.h>

#include "core/virtqueue/split.h"
#include "tests/harness.h"

#define TESTPMD	 "/usr/bin/dpdk-testpmd"
#define PAGE	 4096ull
#define MIB	 (1ull << 20)
#define LIMIT	 (64 * MIB)
#define SIZE	 256u
#define HEADER	 sizeof(struct virtio_net_hdr_mrg_rxbuf)
#define FRAME	 64u
#define BUFFER	 2048u
#define RINGS	 (MIB / 2) /* gpa of the frames; before them are the rings */
#define ROUNDS	 20
#define PER_STEP 2000u
#define WINDOW	 32u
#define LOOKS	 2000u /* some 100 ms */

struct ring {
	struct vas_virtq_desc *desc;
	struct vas_virtq_avail *avail;
	struct vas_virtq_used *used;
	uint16_t next_avail, next_used;
	int kick_fd, call_fd;
	uint64_t frames; /* gpa */
};

static char folder[] = "/dev/shm/vas-net-XXXXXX";
static char sock_path[64];
static pid_t pid;
static struct vas *vas;
static struct vas_vhost_user *front;
static uint8_t *ram;
static struct ring rings[2]; /* what the guest receives by, and what it sends by */

/* ---- the back end ---------------------------------------------------------------------------- */

static void exec_testpmd(void)
{
	char device[128], prefix[64];
	int input[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(device, sizeof(device), "net_vhost0,iface=%s", sock_path);
	snprintf(prefix, sizeof(prefix), "--file-prefix=vas%d", getpid());
	/* It ends when its input does. */
	if (pipe(input) || dup2(input[0], 0) < 0 || dup2(open("/dev/null", O_WRONLY), 1) < 0)
		_exit(1);
	execl(TESTPMD, "dpdk-testpmd", "--lcores", "0@0,1@1", "--no-huge", "-m", "256", "--no-pci",
	      prefix, "--vdev", device, "--", "--total-num-mbufs=2048", "--auto-start", NULL);
	_exit(127);
}

static int is_connected(void *arg)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int *sock = arg;

	if (waitpid(pid, NULL, WNOHANG) == pid)
		test_skip("dpdk-testpmd does not run here");
	strcpy(address.sun_path, sock_path);
	*sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!connect(*sock, (struct sockaddr *)&address, sizeof(address)))
		return 1;
	close(*sock);
	return 0;
}

static int start_testpmd(void)
{
	int sock;

	if (access(TESTPMD, X_OK))
		test_skip("dpdk-testpmd is not installed");
	CHECK(mkdtemp(folder));
	snprintf(sock_path, sizeof(sock_path), "%s/sock", folder);
	pid = fork();
	if (!pid)
		exec_testpmd();
	test_wait(is_connected, &sock, TEST_HANG_MS);
	return sock;
}

/* ---- the driver ------------------------------------------------------------------------------ */

static void start_ring(uint32_t index)
{
	struct vas_virtio_server *server = vas_vhost_user_server(front);
	struct ring *ring = &rings[index];
	const uint64_t at = index * 65536ull;
	struct vas_virtio_queue queue = {
		.size = SIZE, .desc = at, .driver = at + 16384, .device = at + 32768
	};

	*ring = (struct ring){
		.desc = (void *)(ram + at),
		.avail = (void *)(ram + at + 16384),
		.used = (void *)(ram + at + 32768),
		.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.frames = RINGS + index * SIZE * BUFFER,
	};
	queue.kick_fd = ring->kick_fd;
	queue.call_fd = ring->call_fd;
	CHECK_OK(server->ops->queue_start(server, index, &queue));
}

static void post(struct ring *ring, uint16_t slot, uint32_t len, uint16_t flags)
{
	ring->desc[slot] = (struct vas_virtq_desc){ ring->frames + slot * BUFFER, len, flags, 0 };
	ring->avail->ring[ring->next_avail++ % SIZE] = slot;
	__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&ring->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY))
		eventfd_write(ring->kick_fd, 1);
}

/* An answered slot, or -1. */
static int take(struct ring *ring)
{
	if (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) == ring->next_used)
		return -1;
	return (int)ring->used->ring[ring->next_used++ % SIZE].head;
}

static uint8_t *frame(const struct ring *ring, int slot)
{
	return ram + ring->frames + (uint32_t)slot * BUFFER + HEADER;
}

static void make_frame(uint8_t *at, uint32_t number)
{
	memset(at, 2, 12); /* addresses: of a unicast, local kind */
	at[12] = 0x88;
	at[13] = 0xb5;
	memcpy(at + 14, &number, sizeof(number));
	for (uint32_t i = 18; i < FRAME; i++)
		at[i] = (uint8_t)(number * 3 + i);
}

static uint32_t nr_sent, nr_back;
static uint8_t was_back[1u << 24]; /* by number */

/* A frame that was sent, as it was, and once. */
static int came_back(void)
{
	uint8_t want[FRAME];
	uint32_t number;
	int slot = take(&rings[0]);

	if (slot < 0)
		return 0;
	memcpy(&number, frame(&rings[0], slot) + 14, sizeof(number));
	CHECK(number < nr_sent && !was_back[number]);
	was_back[number] = 1;
	make_frame(want, number);
	CHECK_MEM(frame(&rings[0], slot), want, FRAME);
	__atomic_fetch_add(&nr_back, 1, __ATOMIC_RELEASE);
	post(&rings[0], (uint16_t)slot, BUFFER, VAS_VIRTQ_DESC_WRITE);
	return 1;
}

static void send_one(void)
{
	uint16_t slot = (uint16_t)(nr_sent % SIZE);

	memset(frame(&rings[1], slot) - HEADER, 0, HEADER);
	make_frame(frame(&rings[1], slot), nr_sent++);
	post(&rings[1], slot, HEADER + FRAME, 0);
}

static int driver_ends;

/*
 * At most so many frames are on their way: what does not come back for a while has been dropped by
 * testpmd, which does that with frames for a queue that stands.
 */
static void *drive(void *arg)
{
	uint32_t under_way = 0, nr_looks = 0;
	uint16_t slot;

	(void)arg;
	for (slot = 0; slot < SIZE; slot++)
		post(&rings[0], slot, BUFFER, VAS_VIRTQ_DESC_WRITE);
	while (under_way || !__atomic_load_n(&driver_ends, __ATOMIC_ACQUIRE)) {
		while (take(&rings[1]) >= 0)
			;
		if (under_way < WINDOW && !__atomic_load_n(&driver_ends, __ATOMIC_ACQUIRE)) {
			send_one();
			under_way++;
		}
		if (came_back()) {
			under_way -= under_way > 0;
			nr_looks = 0;
		} else if (++nr_looks == LOOKS) {
			under_way = nr_looks = 0;
		} else {
			usleep(10);
		}
	}
	return NULL;
}

/* As a VMM's loop does that watches vas_vhost_user_fd(): testpmd may be late for a thaw. */
static int is_further(void *arg)
{
	CHECK_OK(vas_vhost_user_serve(front));
	return __atomic_load_n(&nr_back, __ATOMIC_ACQUIRE) >= *(uint32_t *)arg;
}

static void let_it_run(void)
{
	uint32_t until = __atomic_load_n(&nr_back, __ATOMIC_ACQUIRE) + PER_STEP;

	test_wait(is_further, &until, TEST_HANG_MS);
}

/* ---- what owners do -------------------------------------------------------------------------- */

static void begin(void)
{
	static const struct virtio_net_config config = { .mac = { 2, 0, 0, 0, 0, 1 } };
	const struct vas_vhost_user_options options = {
		.name = "nic",
		.device_id = VIRTIO_ID_NET,
		.nr_queues = 2,
		.config = &config,
		.config_size = sizeof(config),
		.timeout_ns = TEST_HANG_NS,
	};
	const struct vas_options vas_options = { .limit = LIMIT, .name = "guest" };
	const struct vas_region region = { .size = 4 * MIB, .name = "ram" };
	struct vas_virtio_server *server;
	int sock = start_testpmd();

	CHECK_OK(vas_create(&vas_options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	ram = mmap(NULL, LIMIT, PROT_READ | PROT_WRITE, MAP_SHARED, vas_backing_fd(vas, 0), 0);
	CHECK_OK(vas_vhost_user_attach(vas, sock, &options, &front));
	close(sock);
	server = vas_vhost_user_server(front);
	CHECK_OK(server->ops->start(server, server->features & (1ull << VIRTIO_F_VERSION_1 |
								1ull << VIRTIO_NET_F_MRG_RXBUF)));
	start_ring(0);
	start_ring(1);
}

static void finish(void)
{
	vas_vhost_user_detach(front);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(sock_path);
	rmdir(folder);
	munmap(ram, LIMIT);
	vas_destroy(vas);
}

TEST(what_is_sent_comes_back_once_while_layouts_change_and_freezes_pass)
{
	const struct vas_region more = {
		.gpa = 16 * MIB, .size = MIB, .offset = 16 * MIB, .name = "more"
	};
	pthread_t driver;
	uint64_t id;

	begin();
	CHECK_OK(pthread_create(&driver, NULL, drive, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		struct vas_layout *layout;

		test_note("round %d", i);
		let_it_run();
		CHECK_OK(vas_region_add(vas, &more, &id));
		let_it_run();
		CHECK_OK(vas_layout_begin(vas, &layout));
		CHECK_OK(vas_layout_remove(layout, id));
		CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, NULL));
		let_it_run();
		CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
		CHECK_OK(vas_thaw(vas));
		CHECK_OK(vas_vhost_user_status(front));
	}
	__atomic_store_n(&driver_ends, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(driver, NULL));
	CHECK(nr_back >= ROUNDS * 3 * PER_STEP);
	/* Two times a round, its queues stand. */
	CHECK(nr_sent - nr_back <= ROUNDS * 2 * WINDOW);
	finish();
}
