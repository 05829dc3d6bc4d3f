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

#define SETTLE_NS 1000000000ull

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
	machine_resume(mover->machine);
}

static int mover_save(void *arg, void **state, size_t *size)
{
	struct mover *mover = arg;

	return machine_save(mover->machine, state, size);
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
		.fds = &mover->fd, .nr_fds = 1, .ops = &ops, .arg = mover
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

struct lazy {
	struct machine *machine;
	uint32_t kvm_flags;
};

/* The source is not told yet: what KVM refuses here is no harm. */
static int incoming_accept(void *arg, struct vas *vas, const void *state, size_t size)
{
	struct lazy *lazy = arg;
	int nr = machine_state_vcpus(state, size), err;

	if (nr < 0)
		return nr;
	err = machine_create(lazy->machine, vas, nr, lazy->kvm_flags);
	if (err)
		return err;
	err = machine_load(lazy->machine, state, size);
	if (err)
		machine_destroy(lazy->machine);
	return err;
}

static void incoming_withdraw(void *arg)
{
	struct lazy *lazy = arg;

	machine_destroy(lazy->machine);
}

int machine_receive(struct machine *machine, const char *path, uint32_t kvm_flags)
{
	static const struct vas_migrate_target_ops ops = { .accept = incoming_accept,
							   .withdraw = incoming_withdraw };
	struct lazy lazy = { machine, kvm_flags };
	int fd = socket_connect(path), err;
	const struct vas_migrate_target target = {
		.fds = &fd, .nr_fds = 1, .ops = &ops, .arg = &lazy
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
