// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Kernel modules as a consumer: the owner's side of /dev/vas, <uapi/linux/vas.h>. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <uapi/linux/vas.h>
#include <vas/module.h>

#define DEVICE "/dev/vas"

struct vas_module {
	struct vas_consumer consumer; /* first: the ops cast */
	int fd;
	struct vas_ko_blocker blocker; /* as the last look found it */
};

static struct vas_module *module_of(struct vas_consumer *consumer)
{
	return (struct vas_module *)consumer;
}

/* 0, VAS_KO_UNDER_WAY or -errno, told. */
static int call(struct vas_module *module, unsigned long command, void *arg)
{
	int result = ioctl(module->fd, command, arg);

	if (result < 0)
		return vas_error_set(-errno, "kernel modules, by " DEVICE ": %s", strerror(errno));
	return result ? VAS_CONSUMER_UNDER_WAY : 0;
}

static uint64_t time_left_ns(uint64_t deadline_ns)
{
	struct timespec now;
	uint64_t now_ns;

	if (deadline_ns == UINT64_MAX)
		return UINT64_MAX;
	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
	return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

/* ---- layout -------------------------------------------------------------------------------- */

static int prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
		   uint64_t deadline_ns)
{
	struct vas_module *module = module_of(consumer);
	struct vas_ko_prepare arg = { .nr = (uint32_t)delta->nr_gone, .flags = VAS_KO_NOWAIT };
	struct vas_ko_range *ranges;
	size_t i;
	int result;

	if (!delta->nr_gone)
		return 0;
	ranges = calloc(delta->nr_gone, sizeof(*ranges));
	if (!ranges)
		return vas_error_set(-ENOMEM, "no memory for %zu ranges", delta->nr_gone);
	for (i = 0; i < delta->nr_gone; i++)
		ranges[i] = (struct vas_ko_range){ delta->gone[i].gpa, delta->gone[i].size };
	arg.ranges = (uintptr_t)ranges;
	arg.timeout_ns = time_left_ns(deadline_ns);
	result = call(module, VAS_KO_PREPARE, &arg);
	module->blocker = arg.blocker;
	free(ranges);
	return result;
}

static int commit(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)delta;
	return call(module_of(consumer), VAS_KO_COMMIT, NULL);
}

/* Modules get no maps of what they were to let go of, until this. */
static int retry(struct vas_consumer *consumer)
{
	return call(module_of(consumer), VAS_KO_COMMIT, NULL);
}

static void abort_change(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)delta;
	call(module_of(consumer), VAS_KO_ABORT, NULL);
}

/* ---- freeze -------------------------------------------------------------------------------- */

/* What a commit replaces, modules have let go of when they were prepared. */
static int freeze(struct vas_consumer *consumer, enum vas_freeze_reason reason,
		  uint64_t deadline_ns)
{
	struct vas_module *module = module_of(consumer);
	struct vas_ko_freeze arg = { .flags = VAS_KO_NOWAIT };
	int result;

	if (reason == VAS_FREEZE_LAYOUT)
		return 0;
	arg.timeout_ns = time_left_ns(deadline_ns);
	result = call(module, VAS_KO_FREEZE, &arg);
	module->blocker = arg.blocker;
	return result;
}

static void thaw(struct vas_consumer *consumer, enum vas_freeze_reason reason)
{
	if (reason == VAS_FREEZE_WRITERS)
		call(module_of(consumer), VAS_KO_THAW, NULL);
}

/* ---- what is under way --------------------------------------------------------------------- */

static int fd_of(struct vas_consumer *consumer)
{
	return module_of(consumer)->fd;
}

static int finish(struct vas_consumer *consumer)
{
	struct vas_module *module = module_of(consumer);
	struct vas_ko_finish arg = { 0 };
	int result = call(module, VAS_KO_FINISH, &arg);

	module->blocker = arg.blocker;
	return result;
}

static void report(struct vas_consumer *consumer, struct vas_blocker *blocker)
{
	const struct vas_ko_blocker *who = &module_of(consumer)->blocker;

	_Static_assert(sizeof(who->name) == sizeof(blocker->name), "a name is cut");
	if (*who->name)
		memcpy(blocker->name, who->name, sizeof(blocker->name));
	blocker->pid = who->pid;
	blocker->gpa = who->gpa;
	blocker->size = who->size;
}

/* A module marks the dirty log itself, as any binder does: there is nothing to track or to harvest.
 */
static const struct vas_consumer_ops module_ops = {
	.name = "module",
	.prepare = prepare,
	.commit = commit,
	.abort = abort_change,
	.retry = retry,
	.freeze = freeze,
	.thaw = thaw,
	.fd = fd_of,
	.finish = finish,
	.blocker = report,
};

/* ---- attach, detach ------------------------------------------------------------------------ */

static int device_open(struct vas *vas, int *fd)
{
	struct vas_ko_attach attach = { .fd = vas_fd(vas) };
	int err;

	*fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (*fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		return vas_error_set(-ENODEV, "there is no " DEVICE ": vas.ko is not loaded");
	if (*fd < 0)
		return vas_error_set(-errno, DEVICE ": %s", strerror(errno));
	if (!ioctl(*fd, VAS_KO_ATTACH, &attach))
		return 0;
	err = -errno;
	close(*fd);
	return vas_error_set(err, "cannot drive kernel modules by " DEVICE ": %s", strerror(-err));
}

int vas_module_attach(struct vas *vas, struct vas_module **out)
{
	struct vas_module *module = calloc(1, sizeof(*module));
	int err;

	if (!module)
		return vas_error_set(-ENOMEM, "no memory");
	module->consumer.ops = &module_ops;
	module->consumer.flags = VAS_CONSUMER_BINDERS;
	err = device_open(vas, &module->fd);
	if (err)
		goto err_free;
	err = vas_consumer_attach(vas, &module->consumer, VAS_TIMEOUT_DEFAULT_NS, NULL);
	if (err)
		goto err_close;
	*out = module;
	return 0;

err_close:
	close(module->fd);
err_free:
	free(module);
	return err;
}

void vas_module_detach(struct vas_module *module)
{
	if (!module)
		return;
	vas_consumer_detach(&module->consumer);
	close(module->fd);
	free(module);
}

struct vas_consumer *vas_module_consumer(struct vas_module *module)
{
	return &module->consumer;
}
