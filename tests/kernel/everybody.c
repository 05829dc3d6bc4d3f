// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "everybody.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/virtio_ids.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define VCPU_CODE     0x80000ull
#define VCPU_COUNT    (VCPU_CODE + 0x100)
#define FRONT_QUEUE   0x60000ull
#define STAYS_MODULES (BUFFERS + 4 * MIB)
#define STAYS_DEVICE  (BUFFERS + 5 * MIB)
#define STAYS_FOO     (BUFFERS + 5 * MIB + 64 * PAGE)
#define FRAME_LEN     500u

static void *shared_memory(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static struct vas *vas_of(const struct everybody *e)
{
	return e->machine.net.t.vas;
}

static char *page_of(const struct everybody *e, enum island_page page)
{
	return e->bytes + page * PAGE;
}

/* ---- a process that binds ------------------------------------------------------------------ */

static void foo_round(struct vas *vas, struct foo_state *state, uint64_t i)
{
	uint64_t found = 0;
	int err = vas_write(vas, ISLAND + OF_FOO * PAGE, &i, sizeof(i), NULL);

	if (!err)
		err = vas_read(vas, ISLAND + OF_FOO * PAGE, &found, sizeof(found), NULL);
	if (!err)
		__atomic_add_fetch(&state->nr_done, 1, __ATOMIC_RELAXED);
	else if (err == -EFAULT)
		__atomic_add_fetch(&state->nr_faults, 1, __ATOMIC_RELAXED);
	else
		state->is_wrong = err;
	err = vas_write(vas, STAYS_FOO, &i, sizeof(i), NULL);
	if (!err)
		err = vas_read(vas, STAYS_FOO, &found, sizeof(found), NULL);
	if (err || found != i)
		state->is_wrong = err ? err : 1;
}

static void foo_hang(struct vas *vas, struct foo_state *state)
{
	CHECK_OK(vas_enter(vas));
	__atomic_store_n(&state->is_hung, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&state->hang, __ATOMIC_ACQUIRE))
		usleep(1000);
	vas_leave(vas);
	__atomic_store_n(&state->is_hung, 0, __ATOMIC_RELEASE);
}

static void foo_run(struct foo_state *state, int sock)
{
	struct vas *vas;
	uint64_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	for (i = 1;; i++) {
		foo_round(vas, state, i);
		if (__atomic_load_n(&state->hang, __ATOMIC_ACQUIRE))
			foo_hang(vas, state);
		usleep(200);
	}
}

/* Before devices are opened: their fds are nobody else's. */
static void foo_begin(struct foo *foo)
{
	int pair[2];

	foo->state = shared_memory(sizeof(*foo->state));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	foo->pid = fork();
	if (!foo->pid)
		foo_run(foo->state, pair[1]);
	close(pair[1]);
	foo->sock = pair[0];
}

static void process_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int has_counted(void *arg)
{
	const uint64_t *count = ((void **)arg)[0], *before = ((void **)arg)[1];

	return __atomic_load_n(count, __ATOMIC_RELAXED) > *before;
}

/* One more than there are, and that may have begun before; so two. */
static void await_count(const uint64_t *count)
{
	uint64_t before = __atomic_load_n(count, __ATOMIC_RELAXED) + 1;
	void *args[] = { (void *)count, &before };

	test_wait(has_counted, args, TEST_HANG_MS);
}

/* ---- a vCPU -------------------------------------------------------------------------------- */

/*
 * In real mode, with its data at the island: mov byte [OF_VCPU * 4096], 0x5a; inc word cs:[0x100];
 * out 0xe9, al; and again.
 */
static const uint8_t vcpu_code[] = { 0xc6, 0x06, 0x00, OF_VCPU << 4, 0x5a, 0x2e, 0xff,
				     0x06, 0x00, 0x01, 0xe6,	     0xe9, 0xeb, 0xf2 };

static void kicked(int signal)
{
	(void)signal;
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;

	pthread_mutex_lock(&vcpu->lock);
	while (!vcpu->is_over) {
		if (vcpu->pauses && !vcpu->is_deaf) {
			pthread_cond_wait(&vcpu->changed, &vcpu->lock);
			continue;
		}
		vcpu->is_in = 1;
		vcpu->run->immediate_exit = 0;
		pthread_mutex_unlock(&vcpu->lock);
		CHECK(!ioctl(vcpu->fd, KVM_RUN, 0) || errno == EINTR || errno == EAGAIN);
		CHECK(vcpu->run->exit_reason == KVM_EXIT_IO ||
		      vcpu->run->exit_reason == KVM_EXIT_MMIO ||
		      vcpu->run->exit_reason == KVM_EXIT_INTR);
		usleep(200);
		pthread_mutex_lock(&vcpu->lock);
		vcpu->is_in = 0;
		if (vcpu->pauses)
			vas_kvm_wake(vcpu->machine->kvm);
	}
	pthread_mutex_unlock(&vcpu->lock);
	return NULL;
}

static void kick(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	pthread_kill(vcpu->thread, SIGUSR1);
}

static void vcpu_pause(void *arg)
{
	struct vcpu *vcpu = arg;

	pthread_mutex_lock(&vcpu->lock);
	vcpu->pauses++;
	kick(vcpu);
	pthread_mutex_unlock(&vcpu->lock);
}

static int vcpu_is_paused(void *arg)
{
	struct vcpu *vcpu = arg;
	int is_out;

	pthread_mutex_lock(&vcpu->lock);
	is_out = !vcpu->is_in && !vcpu->is_deaf;
	pthread_mutex_unlock(&vcpu->lock);
	return is_out;
}

static void vcpu_resume(void *arg)
{
	struct vcpu *vcpu = arg;

	pthread_mutex_lock(&vcpu->lock);
	vcpu->pauses--;
	pthread_cond_broadcast(&vcpu->changed);
	pthread_mutex_unlock(&vcpu->lock);
}

static void vcpu_begin(struct vcpu *vcpu, struct machine *machine)
{
	const struct sigaction action = { .sa_handler = kicked };
	const struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), size;

	CHECK_OK(kvm);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	close(kvm);
	sigaction(SIGUSR1, &action, NULL);
	CHECK_OK(vas_write(machine->net.t.vas, VCPU_CODE, vcpu_code, sizeof(vcpu_code), NULL));
	vcpu->machine = machine;
	vcpu->fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, 0);
	CHECK_OK(vcpu->fd);
	vcpu->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	CHECK(vcpu->run != MAP_FAILED);
	CHECK_OK(vas_kvm_add_vcpu(machine->kvm, vcpu->fd));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	sregs.cs.base = VCPU_CODE;
	sregs.cs.selector = VCPU_CODE >> 4;
	sregs.ds.base = ISLAND;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	CHECK_OK(pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu));
}

static void vcpu_end(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	vcpu->is_over = 1;
	kick(vcpu);
	pthread_cond_broadcast(&vcpu->changed);
	pthread_mutex_unlock(&vcpu->lock);
	CHECK_OK(pthread_join(vcpu->thread, NULL));
	close(vcpu->fd);
}

static void machine_begin(struct everybody *e, uint32_t nr_slots)
{
	const struct vas_kvm_options options = { .first_slot = 1,
						 .nr_slots = nr_slots,
						 .pause = vcpu_pause,
						 .is_paused = vcpu_is_paused,
						 .resume = vcpu_resume,
						 .priv = &e->vcpu };

	pthread_mutex_init(&e->vcpu.lock, NULL);
	pthread_cond_init(&e->vcpu.changed, NULL);
	machine_open(&e->machine, &options);
	edu_open(&e->second, 1, e->machine.edu.device.container_fd);
	CHECK_OK(vas_vfio_device_add(e->machine.vfio, &e->second.device));
	vcpu_begin(&e->vcpu, &e->machine);
	e->island = islands(&e->machine, 2 * ISLAND_PAGES, &e->bytes);
	e->island.size = ISLAND_SIZE;
	guard_put(e);
}

/* ---- a back end of vhost-user -------------------------------------------------------------- */

/* Returns the front end's side of the connection. */
static int back_end_begin(struct everybody *e)
{
	int pair[2];

	e->fake = shared_memory(sizeof(*e->fake));
	fake_init(e->fake);
	e->fake->max_slots = FAKE_MAX_REGIONS;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	e->fake->sock = pair[0];
	e->fake_pid = fork();
	if (!e->fake_pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[1]);
		fake_serve(e->fake);
		_exit(0);
	}
	close(pair[0]);
	return pair[1];
}

static void front_begin(struct everybody *e, int sock)
{
	const struct vas_vhost_user_options options = { .name = "disk",
							.device_id = VIRTIO_ID_BLOCK,
							.nr_queues = 1,
							.queue_size = 64,
							.config_size = 32,
							.timeout_ns = TEST_HANG_NS };
	const struct vas_virtio_queue queue = {
		.size = 64,
		.desc = FRONT_QUEUE,
		.driver = FRONT_QUEUE + PAGE,
		.device = FRONT_QUEUE + 2 * PAGE,
		.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	struct vas_virtio_server *server;

	CHECK_OK(vas_vhost_user_attach(vas_of(e), sock, &options, &e->front));
	server = vas_vhost_user_server(e->front);
	CHECK_OK(server->ops->start(server, VERSION_1));
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
}

/* ---- modules ------------------------------------------------------------------------------- */

/* A module has the vas's own file, and others as they are offered. */
static int session_begin(struct everybody *e)
{
	int device = device_bound(vas_fd(vas_of(e)));

	CHECK_OK(device_offer(device, vas_backing_fd(vas_of(e), e->island.backing)));
	return device;
}

static int load_begin(struct everybody *e, uint64_t gpa, enum vas_test_load_kind kind)
{
	const struct vas_test_load load = { .gpa = gpa, .len = PAGE, .kind = kind, .seed = 7 };
	int device = session_begin(e);

	CHECK_OK(device_load(device, &load));
	return device;
}

static void modules_begin(struct everybody *e)
{
	CHECK_OK(vas_module_attach(vas_of(e), &e->module));
	e->copies = load_begin(e, ISLAND + OF_COPIES * PAGE, VAS_TEST_LOAD_COPY);
	e->maps = load_begin(e, ISLAND + OF_MAPS * PAGE, VAS_TEST_LOAD_MAP);
	e->stays = load_begin(e, STAYS_MODULES, VAS_TEST_LOAD_CACHE);
	e->holder = session_begin(e);
	net_guest_join(&e->guest, vas_of(e), e->machine.net.t.ram, 0);
}

static void modules_end(struct everybody *e)
{
	struct vas_test_load_result result = device_load_stop(e->stays);

	CHECK_OK(result.err);
	CHECK_EQ(result.wrong, 0);
	CHECK_EQ(result.faults, 0);
	CHECK(result.done > 0);
	CHECK_OK(device_load_stop(e->copies).err);
	CHECK_OK(device_load_stop(e->maps).err);
	CHECK_EQ(device_counts(e->holder).invalidated, e->nr_held);
	close(e->copies);
	close(e->maps);
	close(e->stays);
	close(e->holder);
	close(e->guest.sock);
	close(e->guest.net);
	vas_module_detach(e->module);
}

/* ---- loads of this process ----------------------------------------------------------------- */

static void *frames(void *arg)
{
	struct everybody *e = arg;
	struct net *net = &e->machine.net;

	while (!__atomic_load_n(&e->is_over, __ATOMIC_ACQUIRE)) {
		uint64_t gpa = BUFFERS + PAGE * (1 + e->nr_frames % 500);

		pthread_mutex_lock(&e->net_lock);
		net_exchange(net, gpa, net->t.ram + gpa, (uint8_t)e->nr_frames++);
		pthread_mutex_unlock(&e->net_lock);
		usleep(1000);
	}
	return NULL;
}

/* There and back: what the device has read it writes. */
static void *transfers(void *arg)
{
	struct everybody *e = arg;
	char *ram = e->machine.net.t.ram;

	while (!__atomic_load_n(&e->is_over, __ATOMIC_ACQUIRE)) {
		memset(ram + STAYS_DEVICE, (int)e->nr_transfers++, 1000);
		memset(ram + STAYS_DEVICE + PAGE, 0, 1000);
		edu_read(&e->second, STAYS_DEVICE, 1000);
		edu_write(&e->second, STAYS_DEVICE + PAGE, 1000);
		CHECK_MEM(ram + STAYS_DEVICE + PAGE, ram + STAYS_DEVICE, 1000);
	}
	return NULL;
}

/* ---- all of them --------------------------------------------------------------------------- */

void everybody_begin(struct everybody *e, uint32_t nr_slots)
{
	int sock;

	foo_begin(&e->foo);
	sock = back_end_begin(e);
	e->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK_OK(e->log);
	CHECK_OK(lseek(e->log, 0, SEEK_END));
	machine_begin(e, nr_slots);
	front_begin(e, sock);
	modules_begin(e);
	CHECK_OK(vas_send_fds(vas_of(e), e->foo.sock, 0));
	pthread_mutex_init(&e->net_lock, NULL);
	CHECK_OK(pthread_create(&e->threads[0], NULL, frames, e));
	CHECK_OK(pthread_create(&e->threads[1], NULL, transfers, e));
}

/* The kernel tells a few faults at a time: each told is one of those that are to be. */
static void check_faults(const struct everybody *e)
{
	char record[1024], want[64];
	uint64_t nr = 0;
	ssize_t len;

	snprintf(want, sizeof(want), "fault addr 0x%llx", (unsigned long long)ISLAND);
	while ((len = read(e->log, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		record[len > 0 ? len : 0] = '\0';
		if (!strstr(record, "fault addr"))
			continue;
		CHECK_HAS(record, want);
		nr++;
	}
	CHECK(nr <= e->nr_stopped);
	CHECK(nr || !e->nr_stopped);
}

void everybody_end(struct everybody *e)
{
	__atomic_store_n(&e->is_over, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(e->threads[0], NULL));
	CHECK_OK(pthread_join(e->threads[1], NULL));
	CHECK(e->nr_frames && e->nr_transfers);
	CHECK_EQ(e->foo.state->is_wrong, 0);
	modules_end(e);
	vas_vhost_user_detach(e->front);
	vcpu_end(&e->vcpu);
	process_end(e->foo.pid);
	process_end(e->fake_pid);
	check_faults(e);
	edu_close(&e->second);
	machine_close(&e->machine);
}

/* ---- who has it ---------------------------------------------------------------------------- */

static void net_has(struct everybody *e)
{
	const struct part part = { NET_ISLAND, HEADER_LEN + FRAME_LEN, 0 };
	char want[HEADER_LEN + FRAME_LEN] = { 0 }, got[PAGE];

	net_frame_fill(want + HEADER_LEN, FRAME_LEN, 1);
	CHECK_OK(vas_write(vas_of(e), NET_ISLAND, want, sizeof(want), NULL));
	net_guest_send(&e->guest, &part, 1, 0);
	CHECK_EQ(net_host_receive(&e->guest, got, sizeof(got), TEST_HANG_MS), FRAME_LEN);
	CHECK_MEM(got, want + HEADER_LEN, FRAME_LEN);
}

static int vcpu_has_written(void *at)
{
	return *(volatile char *)at == 0x5a;
}

static void vcpu_goes_on(const struct everybody *e)
{
	const volatile uint16_t *count =
		(const volatile uint16_t *)(e->machine.net.t.ram + VCPU_COUNT);
	uint16_t before = *count;

	while (*count == before)
		usleep(200);
}

static void module_has(struct everybody *e)
{
	uint32_t map;

	if (device_info(e->holder).nr_maps)
		return; /* from a time before that failed */
	CHECK_OK(device_map(e->holder, ISLAND + OF_HOLDER * PAGE, PAGE, VAS_MAPPING_WRITE, &map));
	CHECK_OK(device_map_write(e->holder, map, 0, "x", 1));
	e->nr_held++;
}

void everybody_has(struct everybody *e, int dma)
{
	char *of_vhost = page_of(e, OF_VHOST), *of_vcpu = page_of(e, OF_VCPU);

	CHECK(kvm_has(&e->machine, ISLAND, e->bytes));
	*of_vcpu = 0;
	test_wait(vcpu_has_written, of_vcpu, TEST_HANG_MS);
	CHECK(fake_has(e->fake, ISLAND + ISLAND_SIZE - PAGE));
	net_has(e);
	module_has(e);
	await_count(&e->foo.state->nr_done);
	pthread_mutex_lock(&e->net_lock);
	net_exchange(&e->machine.net, ISLAND + OF_VHOST * PAGE, of_vhost, 3);
	pthread_mutex_unlock(&e->net_lock);
	CHECK(!dma || device_has(&e->machine, ISLAND, e->bytes));
}

/* The networks are not asked: a queue is broken after a buffer that is not there. */
void nobody_has(struct everybody *e, int dma)
{
	CHECK(!kvm_has(&e->machine, ISLAND, e->bytes));
	vcpu_goes_on(e);
	CHECK(!fake_has(e->fake, ISLAND));
	CHECK_EQ(device_write(e->holder, ISLAND + OF_HOLDER * PAGE, "x", 1, NULL), -EFAULT);
	await_count(&e->foo.state->nr_faults);
	if (dma) {
		edu_write(&e->machine.edu, ISLAND, 1);
		e->nr_stopped++;
	}
	guard_check(e);
}

void guard_put(struct everybody *e)
{
	memset(e->bytes, GUARD, ISLAND_SIZE);
}

void guard_check(const struct everybody *e)
{
	size_t i;

	for (i = 0; i < ISLAND_SIZE; i++)
		if ((uint8_t)e->bytes[i] != GUARD)
			test_note("byte %zu of the island", i);
	for (i = 0; i < ISLAND_SIZE; i++)
		CHECK_EQ((uint8_t)e->bytes[i], GUARD);
}
