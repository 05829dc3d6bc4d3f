// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Pages for those who send no requests: KVM, and the kernel on a guest's behalf, by userfaultfd. It
 * catches faults in mappings of this process that were registered, and no others.
 */
#include "lib/lazy/lazy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

/* ---- userfaultfd -------------------------------------------------------------------------- */

/* One that catches the kernel's faults too, as KVM's are: that takes a privilege. */
static int open_uffd(void)
{
	int device, fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 || errno != EPERM)
		return fd;
	device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return -1;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	close(device);
	return fd;
}

static int watch(const struct lazy *a, void *hva, uint64_t size)
{
	struct uffdio_register range = { .range = { (uintptr_t)hva, size },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	return ioctl(a->uffd, UFFDIO_REGISTER, &range) ? -errno : 0;
}

static int open_dest(struct lazy *a)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MISSING_SHMEM };
	uint64_t size = a->vas->sb.ram_size;

	if (ioctl(a->uffd, UFFDIO_API, &api))
		return -errno;
	a->dest = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		       a->vas->backings[0].fd, 0);
	if (a->dest == MAP_FAILED) {
		a->dest = NULL;
		return -errno;
	}
	madvise(a->dest, size, MADV_DONTFORK);
	madvise(a->dest, size, MADV_DONTDUMP);
	return watch(a, a->dest, size);
}

int vas_lazy_open(struct lazy *a)
{
	a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->wake_fd < 0)
		return vas_error_set(-errno, "cannot make an eventfd: %s", strerror(errno));
	a->uffd = open_uffd();
	/* Without it libvas's own way still works, and KVM is refused. */
	if (a->uffd >= 0 && open_dest(a)) {
		close(a->uffd);
		a->uffd = -1;
	}
	return 0;
}

/* ---- catching ----------------------------------------------------------------------------- */

/* What the file has at this address: its offset, or UINT64_MAX. */
static uint64_t offset_at(struct lazy *a, uint64_t address)
{
	const struct lazy_map *map;
	uint64_t offset = UINT64_MAX;

	vas_lazy_lock(a);
	for (map = a->maps; map; map = map->next)
		if (address - (uintptr_t)map->hva < map->size)
			offset = map->offset + (address - (uintptr_t)map->hva);
	pthread_mutex_unlock(&a->lock);
	return offset;
}

static void on_fault(struct lazy *a, uint64_t address)
{
	struct uffdio_zeropage zero = { .range = { address, VAS_PAGE_SIZE } };
	uint64_t offset = offset_at(a, address);
	uint64_t gpa = offset == UINT64_MAX ? offset : vas_lazy_gpa(a, offset);

	if (gpa != UINT64_MAX && vas_lazy_is_missing(a, gpa)) {
		if (!vas_lazy_fetch(a, gpa))
			return; /* it was woken */
		vas_lazy_lock(a);
		vas_lazy_wake(a, offset, VAS_PAGE_SIZE, true);
		pthread_mutex_unlock(&a->lock);
		return;
	}
	/* A page that is zero; or it was filled meanwhile. */
	if (ioctl(a->uffd, UFFDIO_ZEROPAGE, &zero))
		ioctl(a->uffd, UFFDIO_WAKE, &zero.range);
}

static void *catch (void *arg)
{
	struct lazy *a = arg;
	struct pollfd fds[] = { { .fd = a->uffd, .events = POLLIN },
				{ .fd = a->wake_fd, .events = POLLIN } };

	while (!fds[1].revents) {
		struct uffd_msg message;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (read(a->uffd, &message, sizeof(message)) == sizeof(message) &&
		    message.event == UFFD_EVENT_PAGEFAULT)
			on_fault(a, message.arg.pagefault.address & ~(VAS_PAGE_SIZE - 1));
	}
	return NULL;
}

void vas_lazy_close(struct lazy *a)
{
	uint64_t one = 1;

	if (a->has_catcher && write(a->wake_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(a->catcher, NULL);
	if (a->uffd >= 0)
		vas_lazy_release(a);
	while (a->maps) {
		struct lazy_map *map = a->maps;

		a->maps = map->next;
		free(map);
	}
	if (a->dest)
		munmap(a->dest, a->vas->sb.ram_size);
	if (a->uffd >= 0)
		close(a->uffd);
	if (a->wake_fd >= 0)
		close(a->wake_fd);
	if (a->nothing_fd >= 0)
		close(a->nothing_fd);
}

/* ---- mappings ----------------------------------------------------------------------------- */

static void unwatch(const struct lazy *a, const struct lazy_map *map)
{
	struct uffdio_range range = { (uintptr_t)map->hva, map->size };

	ioctl(a->uffd, UFFDIO_UNREGISTER, &range);
}

void vas_lazy_release(struct lazy *a)
{
	const struct lazy_map *map;

	for (map = a->maps; map; map = map->next)
		unwatch(a, map);
}

static int start_catcher(struct lazy *a)
{
	int err;

	if (a->has_catcher)
		return 0;
	err = vas_lazy_thread(&a->catcher, catch, a);
	a->has_catcher = !err;
	return err;
}

/* The lock is held. */
static int add_map(struct lazy *a, void *hva, uint64_t size, uint64_t offset)
{
	struct lazy_map *map = malloc(sizeof(*map));
	int err = map ? start_catcher(a) : vas_error_set(-ENOMEM, "no memory for a map");

	if (!err && watch(a, hva, size))
		err = vas_error_set(-errno, "userfaultfd refuses this mapping: %s",
				    strerror(errno));
	if (err) {
		free(map);
		return err;
	}
	*map = (struct lazy_map){ hva, size, offset, a->maps };
	a->maps = map;
	return 0;
}

int vas_lazy_register(struct vas *vas, void *hva, uint64_t size, uint64_t offset)
{
	NO_CANCEL;
	struct lazy *a = vas->lazy;
	int err = 0;

	if (!a)
		return 0;
	vas_lazy_lock(a);
	if (!a->done && a->uffd < 0)
		err = vas_error_set(
			-EPERM,
			"lazy pages are not all filled, and only userfaultfd tells when a guest "
			"touches one: be root, have vm.unprivileged_userfaultfd=1, or "
			"vas_lazy_wait() first");
	else if (!a->done)
		err = add_map(a, hva, size, offset);
	pthread_mutex_unlock(&a->lock);
	return err;
}

void vas_lazy_unregister(struct vas *vas, void *hva)
{
	NO_CANCEL;
	struct lazy *a = vas->lazy;
	struct lazy_map **p, *map;

	if (!a)
		return;
	vas_lazy_lock(a);
	for (p = &a->maps; *p && (*p)->hva != hva; p = &(*p)->next)
		;
	map = *p;
	if (map) {
		*p = map->next;
		if (!a->done)
			unwatch(a, map);
		free(map);
	}
	pthread_mutex_unlock(&a->lock);
}
