// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pieces.h"

size_t segments_size(enum vas_extent_id id)
{
	switch (id) {
	case VAS_EXT_CONTROL:
		return sizeof(struct vas_control);
	case VAS_EXT_TABLE0:
	case VAS_EXT_TABLE1:
		return 6 * sizeof(struct vas_region_entry);
	case VAS_EXT_BACKINGS:
		return 3 * sizeof(struct vas_backing_entry);
	case VAS_EXT_LOG:
		return 2 * sizeof(uint64_t);
	default:
		return 2 * 64;
	}
}

static size_t take(void *to, size_t room, const uint8_t *data, size_t size)
{
	size_t nr = size < room ? size : room;

	memcpy(to, data, nr);
	return nr;
}

void segments_apply(struct victim *v, const uint8_t *data, size_t size)
{
	void *parts[VAS_EXT_COUNT];
	size_t at;

	/* Before the superblock that says where they are is written over. */
	for (int id = 0; id < VAS_EXT_COUNT; id++)
		parts[id] = victim_extent(v, (enum vas_extent_id)id);
	at = take(v->sb, PIECES_SUPERBLOCK, data, size);
	for (int id = 0; id < VAS_EXT_COUNT; id++)
		at += take(parts[id], segments_size((enum vas_extent_id)id), data + at, size - at);
}

size_t segments_collect(const struct victim *v, uint8_t *buf)
{
	size_t at = PIECES_SUPERBLOCK;

	memcpy(buf, v->sb, PIECES_SUPERBLOCK);
	for (int id = 0; id < VAS_EXT_COUNT; id++) {
		memcpy(buf + at, victim_extent(v, (enum vas_extent_id)id),
		       segments_size((enum vas_extent_id)id));
		at += segments_size((enum vas_extent_id)id);
	}
	return at;
}

/* Fds but pipes, which the sanitizer's symbolizer keeps; listed, if `list`. */
static int count_fds(int list)
{
	char path[32], target[256];
	int count = 0;

	for (int fd = 0; fd < 64; fd++) {
		ssize_t nr;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		nr = readlink(path, target, sizeof(target));
		if (nr <= 5 || !memcmp(target, "pipe:", 5))
			continue;
		count++;
		if (list)
			fprintf(stderr, "fd %d: %.*s\n", fd, (int)nr, target);
	}
	return count;
}

static int lowest_fd(void)
{
	int probe = dup(STDERR_FILENO);

	close(probe);
	return probe;
}

void segments_count_fds(void)
{
	static int lowest = -1, wanted, calls;

	if (lowest < 0)
		wanted = count_fds(0);
	/* The quick way sees most leaks at once; a full count now and then finds the others. */
	if (lowest < 0 || (lowest_fd() == lowest && ++calls % 256)) {
		lowest = lowest_fd();
		return;
	}
	/* A thread of the library's may be closing some. */
	for (int tries = 0; tries < 5000 && count_fds(0) != wanted; tries++)
		usleep(1000);
	lowest = lowest_fd();
	if (count_fds(0) == wanted)
		return;
	fprintf(stderr, "there were %d fds, there are %d: a leak\n", wanted, count_fds(0));
	count_fds(1);
	abort();
}

int pieces_make_orphan(struct victim *v, char **control)
{
	int fd;

	victim_make(v);
	vas_mapping_destroy(v->mapping);
	fd = dup(vas_fd(v->owner));
	vas_unbind(v->owner);
	*control = malloc(v->control_size);
	if (fd < 0 || !*control)
		abort();
	memcpy(*control, v->control, v->control_size);
	return fd;
}

void pieces_change_layout(struct vas *vas)
{
	const struct vas_region region = { .gpa = 20 * VAS_PAGE_SIZE,
					   .size = VAS_PAGE_SIZE,
					   .offset = 20 * VAS_PAGE_SIZE };
	struct vas_region first;
	struct vas_layout *layout;

	if (vas_layout_begin(vas, &layout))
		return;
	vas_layout_add(layout, &region, NULL);
	if (!vas_region_at(vas, 0, &first))
		vas_layout_remove(layout, first.id);
	vas_layout_commit(layout, 0, NULL);
}

void pieces_post(int sock, const uint8_t *bytes, size_t size, const int *fds, uint32_t nr_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(PIECES_MAX_FDS * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr_fds) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nr_fds * sizeof(int));
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
	}
	if (size)
		sendmsg(sock, &msg, MSG_NOSIGNAL);
}

void pieces_use_events(struct vas *vas)
{
	for (uint32_t id = 0; id < 4; id++) {
		vas_event_fd(vas, id);
		vas_event_resample_fd(vas, id);
		vas_doorbell_wait(vas, id, 0);
		vas_doorbell_ring(vas, id);
		vas_irq_raise(vas, id);
	}
}
