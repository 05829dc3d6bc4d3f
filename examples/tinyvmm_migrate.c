// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_migrate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/migrate.h>

#include "tinyvmm_socket.h"
#include "tinyvmm_state.h"

#define SETTLE_NS 10000000000ull  /* a device in another process is waited for */
#define PEER_NS	  120000000000ull /* somebody has to offer to serve the devices there */

/* What goes with the memory; then the machine's state, and that of the devices. */
struct head {
	uint64_t machine_size;
	struct serial_state serial;
	struct acpi_state acpi;
};

/* ---- leaving ------------------------------------------------------------------------------- */

/*
 * The vCPUs stop before the vas is frozen, and what they did last is done with: devices in this
 * process could not write a frozen vas either.
 */
static int mover_pause(void *arg)
{
	struct mover *mover = arg;
	int err;

	machine_pause(mover->machine);
	err = machine_settle(mover->machine, SETTLE_NS);
	if (!err)
		err = devices_pause(mover->devices);
	if (err)
		machine_resume(mover->machine);
	else
		mover->quiet(mover->machine, 1);
	return err;
}

static void mover_resume(void *arg)
{
	struct mover *mover = arg;

	mover->quiet(mover->machine, 0);
	devices_resume(mover->devices);
	machine_resume(mover->machine);
}

static int join(const struct head *head, const void *machine, const void *devices,
		size_t devices_size, void **state, size_t *size)
{
	char *to = malloc(sizeof(*head) + head->machine_size + devices_size);

	if (!to)
		return -ENOMEM;
	*state = to;
	*size = sizeof(*head) + head->machine_size + devices_size;
	to = mempcpy(to, head, sizeof(*head));
	to = mempcpy(to, machine, head->machine_size);
	memcpy(to, devices, devices_size);
	return 0;
}

static int mover_save(void *arg, void **state, size_t *size)
{
	struct mover *mover = arg;
	void *machine = NULL, *devices = NULL;
	size_t machine_size, devices_size;
	struct head head = { 0 };
	int err = machine_save(mover->machine, &machine, &machine_size);

	if (!err)
		err = devices_save(mover->devices, &devices, &devices_size);
	if (!err) {
		head.machine_size = machine_size;
		serial_save(mover->serial, &head.serial);
		head.acpi = *mover->acpi;
		err = join(&head, machine, devices, devices_size, state, size);
	}
	free(machine);
	free(devices);
	return err;
}

static int mover_progress(void *arg, const struct vas_migrate_progress *progress)
{
	struct mover *mover = arg;

	(void)progress;
	return __atomic_load_n(&mover->cancel, __ATOMIC_RELAXED);
}

static int send_machine(struct mover *mover)
{
	static const struct vas_migrate_ops ops = { .pause = mover_pause,
						    .resume = mover_resume,
						    .save = mover_save,
						    .progress = mover_progress };
	const struct vas_migrate_options options = {
		.fds = &mover->fd,
		.nr_fds = 1,
		.freeze_ns = SETTLE_NS,
		.stall_ns = PEER_NS,
		.max_downtime_ns = PEER_NS,
		.ops = &ops,
		.arg = mover,
	};
	struct vas_migrate_progress report;
	int err = vas_migrate_send(mover->machine->vas, &options, &report);

	if (err)
		fprintf(stderr, "tinyvmm: the guest stays here: %s (%s)\n", vas_error(),
			strerror(-err));
	else
		fprintf(stderr, "tinyvmm: the guest has moved, in %u rounds and %llu ms\n",
			report.round, (unsigned long long)report.elapsed_ns / 1000000);
	return err;
}

static void *mover_thread(void *arg)
{
	struct mover *mover = arg;

	while (!mover->moved && !__atomic_load_n(&mover->cancel, __ATOMIC_RELAXED)) {
		mover->fd = accept4(mover->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (mover->fd < 0)
			break;
		mover->moved = !send_machine(mover);
		close(mover->fd);
	}
	if (mover->moved)
		machine_stop(mover->machine, 0);
	return NULL;
}

int mover_start(struct mover *mover, const char *path)
{
	int err;

	mover->listen_fd = socket_listen(path);
	if (mover->listen_fd < 0)
		return mover->listen_fd;
	fprintf(stderr, "tinyvmm: ready to move to whoever connects to %s\n", path);
	err = -pthread_create(&mover->thread, NULL, mover_thread, mover);
	if (err)
		close(mover->listen_fd);
	return err;
}

/*
 * A machine that the guest has stopped is not on its way: mover_pause() fails. What may be going on
 * is a round of it, which is given up.
 */
void mover_stop(struct mover *mover)
{
	__atomic_store_n(&mover->cancel, 1, __ATOMIC_RELAXED);
	shutdown(mover->listen_fd, SHUT_RDWR);
	pthread_join(mover->thread, NULL);
	close(mover->listen_fd);
}

/* ---- coming -------------------------------------------------------------------------------- */

/* The source is not told yet: what is refused here is no harm. */
static int build_machine(struct arrival *arrival, struct vas *vas, const char *state, size_t size)
{
	int nr = machine_state_vcpus(state, size), err;

	if (nr < 0)
		return nr;
	err = machine_create(arrival->machine, vas, nr, arrival->kvm_flags);
	if (err)
		return err;
	err = arrival->plug(arrival->machine);
	if (!err)
		err = machine_load(arrival->machine, state, size);
	if (!err)
		return 0;
	arrival->unplug();
	machine_destroy(arrival->machine);
	return err;
}

static void incoming_withdraw(void *arg)
{
	struct arrival *arrival = arg;

	arrival->unplug();
	machine_destroy(arrival->machine);
}

/* The devices last: they raise interrupts. */
static int incoming_accept(void *arg, struct vas *vas, const void *state, size_t size)
{
	struct arrival *arrival = arg;
	const char *at = state;
	struct head head;
	int err;

	if (size < sizeof(head))
		return -EPROTO;
	memcpy(&head, at, sizeof(head));
	at += sizeof(head);
	size -= sizeof(head);
	if (head.machine_size > size)
		return -EPROTO;
	err = build_machine(arrival, vas, at, head.machine_size);
	if (err)
		return err;
	arrival->serial = head.serial;
	arrival->acpi = head.acpi;
	err = devices_load(arrival->devices, at + head.machine_size, size - head.machine_size);
	if (err)
		incoming_withdraw(arg);
	return err;
}

int machine_receive(struct arrival *arrival, const char *path)
{
	static const struct vas_migrate_target_ops ops = { .accept = incoming_accept,
							   .withdraw = incoming_withdraw };
	int fd = socket_connect(path), err;
	const struct vas_migrate_target target = {
		.fds = &fd, .nr_fds = 1, .stall_ns = PEER_NS, .ops = &ops, .arg = arrival
	};
	struct vas_migrate_result result;
	struct vas *vas;

	if (fd < 0)
		return fd;
	err = vas_migrate_recv(&target, &vas, &result);
	close(fd);
	if (!err)
		free(result.state);
	return err;
}
