// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/barrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/handle/generation.h"

static int membarrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

int vas_barrier_register(void)
{
	int saved_errno = errno, err = 0;

	if (membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) ||
	    membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
		err = -errno;
	errno = saved_errno;
	return err;
}

/*
 * A failure here follows a failed registration: then every section begins with a full fence, the
 * partner of the one below.
 */
static void barrier(int command)
{
	int saved_errno = errno;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	membarrier(command);
	errno = saved_errno;
}

void vas_barrier_everyone(void)
{
	barrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

void vas_barrier_process(void)
{
	barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

int vas_barrier_reaches(struct vas *vas)
{
	struct vas_state state;
	int err;

	if (!vas->no_barrier)
		return 0;
	err = vas_state_read(vas, &state);
	if (err || state.flags & VAS_STATE_FENCE)
		return err;
	return vas_error_set(-EOPNOTSUPP,
			     "this process has no membarrier, and others' sections count on it");
}
