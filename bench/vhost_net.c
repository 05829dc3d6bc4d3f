// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Frames of 64 bytes through a vhost-user network device in another process, beside DPDK's own
 * vhost port in testpmd: from the guest, to the guest, and both at once, round and round. The
 * driver never sleeps; what it sends it writes, and of what it gets it reads header, number and
 * answer. It has one processor, and the device another one; a device whose turn it is not is
 * stopped.
 *
 * With an IOMMU the device is told where a buffer is when it asks: once for all (iommu), or each
 * time anew, as Linux does with iommu.strict=1 (strict, of 256 frames). The limit is `vas` without
 * one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/virtqueue/packed.h"
#include "front_iommu.h"
#include "harness.h"
#include "tests/device/front_end.h"

#define TESTPMD	   "/usr/bin/dpdk-testpmd"
#define RAM	   (2ull << 20)
#define HEADER	   12u
#define FRAME	   64u
#define STRIDE	   2176u /* of buffers, as DPDK's are */
#define BURST	   32u
#define WINDOW	   128u /* frames on their way round */
#define SIZE	   FRONT_RING_SIZE
#define CONNECT_MS 10000
#define STUCK_NS   (5 * 1000000000ull)
#define MAX_SOCK   64
#define MAX_WORD   256
#define MAX_PEERS  4

enum { RX, TX };
enum way { FROM_GUEST, TO_GUEST, LOOP };
enum iommu { NO_IOMMU, ONCE, STRICT };
enum program { BY_VAS, BY_TESTPMD };

static const char *const ways[] = { "from-guest", "to-guest", "loop" };
static char folder[] = "/dev/shm/vas-bench-XXXXXX";

struct variant {
	const char *name;
	enum program program;
	bool has_iommu;
};

static const struct variant plain[] = { { "vas", BY_VAS, false },
					{ "testpmd", BY_TESTPMD, false } };
static const struct variant behind_iommu[] = {
	{ BENCH_LIMIT, BY_VAS, false },
	{ "vas", BY_VAS, true },
	{ "testpmd", BY_TESTPMD, true },
	{ "testpmd-bare", BY_TESTPMD, false },
};

/* A ring of descriptors that each have their buffer for ever. */
struct ring {
	struct front_ring *split;
	struct vas_packed_desc *desc; /* NULL: it is split */
	struct vas_packed_event *device;
	const struct front_iommu *iommu; /* its front is NULL: there is none */
	const uint64_t *gpas;		 /* of its buffers */
	uint32_t first;			 /* buffer, of all */
	uint32_t len;			 /* of what is made available */
	uint16_t flags;
	uint32_t posted, answered; /* since the beginning */
};

struct peer {
	pid_t pid;
	int input; /* of the process: testpmd ends when it ends */
	struct front_end front;
	struct front_iommu iommu;
	bool is_strict;
	uint32_t nr_frames;	 /* of one operation */
	uint64_t gpas[2 * SIZE]; /* of buffers */
	struct ring rings[2];
	enum way way;
	uint64_t sent, received; /* numbers of frames */
};

/* ---- the driver --------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* As the device sees it. */
static uint64_t address_of(const struct ring *ring, uint32_t index)
{
	return ring->iommu->front ? front_iommu_iova(ring->iommu, ring->first + index % SIZE) :
				    ring->gpas[index % SIZE];
}

static bool wraps(uint32_t index)
{
	return !(index / SIZE % 2);
}

static void post_packed(struct ring *ring, uint32_t nr)
{
	uint16_t first = 0;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		uint32_t at = ring->posted + i;
		struct vas_packed_desc *desc = &ring->desc[at % SIZE];
		uint16_t flags = (uint16_t)(ring->flags | (wraps(at) ? VAS_PACKED_DESC_AVAIL :
								       VAS_PACKED_DESC_USED));

		desc->gpa = address_of(ring, at);
		desc->len = ring->len;
		desc->id = (uint16_t)(at % SIZE);
		if (i)
			__atomic_store_n(&desc->flags, flags, __ATOMIC_RELAXED);
		else
			first = flags;
	}
	__atomic_store_n(&ring->desc[ring->posted % SIZE].flags, first, __ATOMIC_RELEASE);
}

static void post_split(struct ring *ring, uint32_t nr)
{
	struct front_ring *split = ring->split;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		uint32_t at = (ring->posted + i) % SIZE;

		split->desc[at] =
			(struct vas_virtq_desc){ address_of(ring, at), ring->len, ring->flags, 0 };
		split->avail->ring[at] = (uint16_t)at;
	}
	__atomic_store_n(&split->avail->idx, (uint16_t)(ring->posted + nr), __ATOMIC_RELEASE);
}

static void post(struct ring *ring, uint32_t nr)
{
	uint16_t no_kick;

	if (ring->desc)
		post_packed(ring, nr);
	else
		post_split(ring, nr);
	ring->posted += nr;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	no_kick = ring->desc ? __atomic_load_n(&ring->device->flags, __ATOMIC_RELAXED) ==
				       VAS_PACKED_EVENT_DISABLE :
			       __atomic_load_n(&ring->split->used->flags, __ATOMIC_RELAXED) &
				       VAS_VIRTQ_NO_KICK;
	if (!no_kick)
		eventfd_write(ring->split->kick_fd, 1);
}

/* The next answer's buffer and length. False: there is none. */
static bool take(struct ring *ring, uint32_t *index, uint32_t *len)
{
	uint32_t at = ring->answered;

	if (ring->desc) {
		const struct vas_packed_desc *desc = &ring->desc[at % SIZE];
		uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);
		uint16_t both = VAS_PACKED_DESC_AVAIL | VAS_PACKED_DESC_USED;

		if ((flags & both) != (wraps(at) ? both : 0))
			return false;
		*index = desc->id;
		*len = desc->len;
	} else {
		const struct vas_virtq_used *used = ring->split->used;

		if (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) == (uint16_t)at)
			return false;
		*index = used->ring[at % SIZE].head;
		*len = used->ring[at % SIZE].len;
	}
	ring->answered++;
	return true;
}

static void stuck(const struct peer *peer, const char *why)
{
	fprintf(stderr, "vhost-net: %s: %s after %llu sent, %llu received\n", ways[peer->way], why,
		(unsigned long long)peer->sent, (unsigned long long)peer->received);
	abort();
}

/* ---- frames ------------------------------------------------------------------------------- */

static uint8_t *buffer(struct peer *peer, const struct ring *ring, uint32_t index)
{
	return peer->front.ram + ring->gpas[index % SIZE];
}

static void write_frame(struct peer *peer, uint32_t index)
{
	uint8_t *bytes = buffer(peer, &peer->rings[TX], index);

	memset(bytes, 0, HEADER);
	memcpy(bytes + HEADER + 16, &peer->sent, sizeof(peer->sent));
	peer->sent++;
}

static void unmap(struct peer *peer, const struct ring *ring, uint32_t index)
{
	if (peer->is_strict && front_iommu_unmap(&peer->iommu, ring->first + index))
		stuck(peer, "a buffer is not unmapped");
}

/* As many as may be on their way, a burst at most. */
static void send_burst(struct peer *peer)
{
	struct ring *ring = &peer->rings[TX];
	uint32_t i, len, room = SIZE - (ring->posted - ring->answered), nr = BURST;

	while (take(ring, &i, &len)) {
		unmap(peer, ring, i);
		room++;
	}
	if (peer->way == LOOP && peer->sent - peer->received + nr > WINDOW)
		return;
	if (room < nr)
		return;
	for (i = 0; i < nr; i++)
		write_frame(peer, ring->posted + i);
	post(ring, nr);
}

static void read_frame(struct peer *peer, uint32_t index, uint32_t len)
{
	const uint8_t *bytes = buffer(peer, &peer->rings[RX], index);
	uint64_t number;

	memcpy(&number, bytes + HEADER + 16, sizeof(number));
	if (len != HEADER + FRAME)
		stuck(peer, "a frame of another size");
	if (peer->way == LOOP && number != peer->received)
		stuck(peer, "another frame");
	peer->received++;
}

static uint32_t receive_burst(struct peer *peer)
{
	struct ring *ring = &peer->rings[RX];
	uint32_t nr = 0, index, len;

	while (nr < BURST && take(ring, &index, &len)) {
		unmap(peer, ring, index);
		read_frame(peer, index, len);
		nr++;
	}
	if (ring->posted - ring->answered <= SIZE - BURST)
		post(ring, SIZE - (ring->posted - ring->answered));
	return nr;
}

static void answer_misses(struct peer *peer)
{
	if (peer->iommu.front && front_iommu_answer(&peer->iommu))
		stuck(peer, "a miss is not answered");
}

/* The driver does not let the device run out of work: what is begun is as much as there is room. */
static void move(struct peer *peer, uint64_t nr)
{
	const uint64_t begin = now_ns();
	uint32_t idle = 0, answered = peer->rings[TX].answered;
	uint64_t done = 0, before;

	while (done < nr) {
		if (peer->way != TO_GUEST)
			send_burst(peer);
		before = done;
		if (peer->way == FROM_GUEST)
			done = (uint32_t)(peer->rings[TX].answered - answered);
		else
			done += receive_burst(peer);
		idle = done > before ? 0 : idle + 1;
		if (idle)
			answer_misses(peer);
		if (idle == 1u << 20 && now_ns() - begin > STUCK_NS)
			stuck(peer, "nothing more comes");
		idle %= 1u << 20;
	}
}

/* A question that is not answered while the device is stopped would be too old afterwards. */
static void finish(struct peer *peer)
{
	struct ring *ring = &peer->rings[peer->way == FROM_GUEST ? TX : RX];
	uint32_t index, len;

	while (ring->answered != ring->posted) {
		answer_misses(peer);
		while (take(ring, &index, &len))
			unmap(peer, ring, index);
	}
}

static uint64_t run_peer(void *ctx, uint64_t nr)
{
	struct peer *peer = ctx;

	kill(peer->pid, SIGCONT);
	move(peer, nr * peer->nr_frames);
	if (peer->is_strict)
		finish(peer);
	kill(peer->pid, SIGSTOP);
	return peer->sent + peer->received;
}

/* ---- processes ---------------------------------------------------------------------------- */

static int other_cpu(void)
{
	int cpu, ours = sched_getcpu();

	for (cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++)
		if (cpu != ours)
			return cpu;
	return ours;
}

static void start(struct peer *peer, char *const *words)
{
	int fds[2] = { -1, -1 }, null, cpu = other_cpu();
	cpu_set_t set;

	if (pipe2(fds, O_CLOEXEC))
		abort();
	peer->input = fds[1];
	peer->pid = fork();
	if (peer->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	null = open("/dev/null", O_WRONLY);
	dup2(fds[0], 0);
	dup2(null, 1);
	dup2(null, 2);
	execv(words[0], words);
	_exit(127);
}

static void start_vas(struct peer *peer, const char *sock)
{
	static char at[MAX_WORD];
	static const char *const where[] = { "--null", "--null=64", "--loopback" };
	char *words[] = { BENCH_VAS, "device", "net", (char *)where[peer->way], at, NULL };

	snprintf(at, sizeof(at), "--vhost-user=%s", sock);
	start(peer, words);
}

static void start_testpmd(struct peer *peer, const char *sock, bool has_iommu)
{
	static char lcores[MAX_WORD], vdev[MAX_WORD], prefix[MAX_WORD];
	static const char *const modes[] = { "--forward-mode=rxonly", "--forward-mode=txonly",
					     "--forward-mode=io" };
	char *words[] = { TESTPMD,
			  "--lcores",
			  lcores,
			  "--no-huge",
			  "-m",
			  "256",
			  "--no-pci",
			  prefix,
			  "--vdev",
			  vdev,
			  "--",
			  (char *)modes[peer->way],
			  "--auto-start",
			  "--total-num-mbufs=4096",
			  "--no-flush-rx",
			  NULL };

	snprintf(lcores, sizeof(lcores), "0@%d,1@%d", other_cpu(), other_cpu());
	snprintf(vdev, sizeof(vdev), "net_vhost0,iface=%s,queues=1%s", sock,
		 has_iommu ? ",iommu-support=1" : "");
	snprintf(prefix, sizeof(prefix), "--file-prefix=vas-bench-%d-%d", getpid(), has_iommu);
	start(peer, words);
}

/* ---- rings -------------------------------------------------------------------------------- */

static void init_ring(struct peer *peer, int index, bool is_packed)
{
	struct front_ring *split = &peer->front.rings[index];
	struct ring *ring = &peer->rings[index];

	*ring = (struct ring){
		.split = split,
		.iommu = &peer->iommu,
		.gpas = &peer->gpas[index * SIZE],
		.first = (uint32_t)index * SIZE,
		.len = index == TX ? HEADER + FRAME : 2048,
		.flags = index == TX ? 0 : VAS_VIRTQ_DESC_WRITE,
	};
	if (is_packed) {
		ring->desc = (void *)split->desc;
		ring->device = (void *)split->used;
		((struct vas_packed_event *)split->avail)->flags = VAS_PACKED_EVENT_DISABLE;
	} else {
		split->avail->flags = VAS_VIRTQ_NO_INTERRUPT;
	}
}

static int begin_iommu(struct peer *peer)
{
	if (!(peer->front.features & 1ull << VIRTIO_F_ACCESS_PLATFORM))
		return -EOPNOTSUPP;
	return front_iommu_begin(&peer->iommu, &peer->front, peer->gpas, 2 * SIZE);
}

static int connect_to(struct peer *peer, const char *sock, bool is_packed, bool has_iommu)
{
	const uint64_t used = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF |
			      1ull << VHOST_USER_F_PROTOCOL_FEATURES |
			      (has_iommu ? 1ull << VIRTIO_F_ACCESS_PLATFORM : 0) |
			      (is_packed ? 1ull << VIRTIO_F_RING_PACKED : 0);
	int ms, i, err = front_end_init(&peer->front, RAM);

	for (i = 0; i < 2 * (int)SIZE; i++)
		peer->gpas[i] = FRONT_DATA + (uint64_t)i * STRIDE;
	peer->front.is_packed = is_packed;
	peer->front.has_iommu = has_iommu;
	for (ms = 0; !err && ms < CONNECT_MS; ms += 10) {
		err = front_end_connect(&peer->front, sock);
		if (!err)
			break;
		close(peer->front.sock);
		peer->front.sock = -1;
		err = ms + 10 < CONNECT_MS ? 0 : err;
		usleep(10000);
	}
	if (!err)
		err = front_end_negotiate(&peer->front, ~used);
	if (!err)
		err = front_end_send_memory(&peer->front);
	if (!err && has_iommu)
		err = begin_iommu(peer);
	for (i = 0; i < 2 && !err; i++) {
		init_ring(peer, i, is_packed);
		err = front_end_start_ring(&peer->front, (uint32_t)i);
	}
	return err;
}

static bool is_ready(struct peer *peer)
{
	uint32_t index, len;

	/* A loop drops frames as long as its other end is not there. */
	if (peer->way == LOOP && peer->rings[TX].posted == peer->rings[TX].answered) {
		peer->sent = 0;
		write_frame(peer, peer->rings[TX].posted);
		post(&peer->rings[TX], 1);
	}
	usleep(1000);
	answer_misses(peer);
	if (peer->way == LOOP)
		take(&peer->rings[TX], &index, &len);
	return take(&peer->rings[RX], &index, &len);
}

/* What is on its way arrives. */
static void drain(struct peer *peer)
{
	uint32_t ms, index, len;

	for (ms = 0; ms < 100; ms++) {
		usleep(1000);
		answer_misses(peer);
	}
	while (take(&peer->rings[RX], &index, &len) || take(&peer->rings[TX], &index, &len))
		;
	post(&peer->rings[RX], SIZE - (peer->rings[RX].posted - peer->rings[RX].answered));
}

/* A frame passes; behind an IOMMU, each buffer is used once, so that the device knows it. */
static int wait_until_ready(struct peer *peer)
{
	uint64_t begin = now_ns();
	uint32_t nr = peer->iommu.front ? SIZE : 1;

	post(&peer->rings[RX], SIZE);
	if (peer->way == FROM_GUEST)
		move(peer, 2 * SIZE);
	while (peer->way != FROM_GUEST && nr) {
		nr -= is_ready(peer);
		if (now_ns() - begin > 2 * STUCK_NS)
			return -ETIMEDOUT;
	}
	if (peer->way == LOOP)
		drain(peer);
	peer->sent = peer->received = 0;
	return 0;
}

static bool has_testpmd(void)
{
	return !access(TESTPMD, X_OK);
}

/* ---- cases -------------------------------------------------------------------------------- */

static int open_peer(struct peer *peer, const struct variant *variant, enum way way, bool is_packed)
{
	char sock[MAX_SOCK];
	int err;

	snprintf(sock, sizeof(sock), "%s/%s", folder, variant->name);
	peer->way = way;
	if (variant->program == BY_VAS)
		start_vas(peer, sock);
	else
		start_testpmd(peer, sock, variant->has_iommu);
	err = connect_to(peer, sock, is_packed, variant->has_iommu);
	if (!err)
		err = wait_until_ready(peer);
	kill(peer->pid, SIGSTOP);
	unlink(sock);
	return err;
}

static void close_peer(struct peer *peer)
{
	if (peer->pid <= 0)
		return;
	kill(peer->pid, SIGKILL);
	waitpid(peer->pid, NULL, 0);
	close(peer->input);
	front_iommu_end(&peer->iommu);
	front_end_clean(&peer->front);
}

static int run_case(struct bench_session *session, const char *name, enum way way, bool is_packed,
		    enum iommu iommu)
{
	const struct variant *variants = iommu ? behind_iommu : plain;
	int i, err = 0,
	       nr = iommu ? (int)(sizeof(behind_iommu) / sizeof(*behind_iommu)) :
			    (int)(sizeof(plain) / sizeof(*plain));
	struct bench_case bcase = { .name = name };
	struct peer peers[MAX_PEERS] = { 0 };

	for (i = 0; i < nr && !err; i++) {
		if (variants[i].program == BY_TESTPMD && !has_testpmd())
			continue;
		err = open_peer(&peers[i], &variants[i], way, is_packed);
		peers[i].is_strict = iommu == STRICT && variants[i].has_iommu;
		peers[i].nr_frames = iommu == STRICT ? SIZE : 1;
		if (err)
			fprintf(stderr, "vhost-net: %s: %s\n", variants[i].name, strerror(-err));
		bench_case_add(&bcase, variants[i].name, run_peer, &peers[i]);
	}
	if (!err)
		err = bench_measure(session, &bcase);
	for (i = 0; i < nr; i++)
		close_peer(&peers[i]);
	return err;
}

static int run_cases(struct bench_session *session, bool is_packed, enum iommu iommu)
{
	static const char *const suffixes[] = { "", "/iommu", "/strict-256" };
	char name[64];
	int way, err = 0;

	/* What is told anew each time is lost in testpmd's loop. */
	for (way = FROM_GUEST; way <= (iommu == STRICT ? TO_GUEST : LOOP) && !err; way++) {
		snprintf(name, sizeof(name), "%s/%s%s", is_packed ? "packed" : "split", ways[way],
			 suffixes[iommu]);
		if (bench_wants(session, name))
			err = run_case(session, name, way, is_packed, iommu);
	}
	return err;
}

static int run(struct bench_session *session)
{
	int iommu, err = 0;

	if (!has_testpmd())
		bench_skip(session, "testpmd", "dpdk-testpmd is not installed");
	if (!mkdtemp(folder))
		return -errno;
	for (iommu = NO_IOMMU; iommu <= STRICT && !err; iommu++) {
		err = run_cases(session, false, iommu);
		if (!err)
			err = run_cases(session, true, iommu);
	}
	rmdir(folder);
	return err;
}

int main(int argc, char **argv)
{
	static const struct bench bench = {
		.name = "vhost-net",
		.summary = "a vhost-user network device in another process, frames of 64 bytes",
		.run = run,
	};

	return bench_main(argc, argv, &bench);
}
