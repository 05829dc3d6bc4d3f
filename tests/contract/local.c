// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Requests done with libvas on a handle of this process. */
#include <stdlib.h>
#include <poll.h>
#include <unistd.h>

#include "subject.h"

#define MAX_MAPS 64

static struct vas_mapping *maps[MAX_MAPS];

static int64_t do_search(struct vas *vas, struct request *r)
{
	const struct vas_pattern pattern = {
		.bytes = r->data,
		.mask = r->data + r->size,
		.len = r->size,
	};

	return vas_search(vas, r->gpa, r->len, &pattern, &r->value);
}

#define FIELD_CASES(bits)                                                                        \
	static int64_t do_field##bits(struct vas *vas, struct request *r)                        \
	{                                                                                        \
		uint##bits##_t val = (uint##bits##_t)r->value, other = (uint##bits##_t)r->other; \
		uint##bits##_t old = 0;                                                          \
		int err = -ENOSYS;                                                               \
                                                                                                 \
		if (r->op == REQ_STORE)                                                          \
			return vas_store_le##bits(vas, r->gpa, val, __ATOMIC_SEQ_CST);           \
		if (r->op == REQ_CMPXCHG) {                                                      \
			err = vas_cmpxchg_le##bits(vas, r->gpa, &other, val, __ATOMIC_SEQ_CST);  \
			r->other = other;                                                        \
			return err;                                                              \
		}                                                                                \
		if (r->op == REQ_LOAD)                                                           \
			err = vas_load_le##bits(vas, r->gpa, &old, __ATOMIC_SEQ_CST);            \
		else if (r->op == REQ_ADD)                                                       \
			err = vas_fetch_add_le##bits(vas, r->gpa, val, &old, __ATOMIC_SEQ_CST);  \
		else if (r->op == REQ_OR)                                                        \
			err = vas_fetch_or_le##bits(vas, r->gpa, val, &old, __ATOMIC_SEQ_CST);   \
		else if (r->op == REQ_AND)                                                       \
			err = vas_fetch_and_le##bits(vas, r->gpa, val, &old, __ATOMIC_SEQ_CST);  \
		else if (r->op == REQ_EXCHANGE)                                                  \
			err = vas_exchange_le##bits(vas, r->gpa, val, &old, __ATOMIC_SEQ_CST);   \
		r->value = old;                                                                  \
		return err;                                                                      \
	}

FIELD_CASES(8)
FIELD_CASES(16)
FIELD_CASES(32)
FIELD_CASES(64)

static int64_t do_field(struct vas *vas, struct request *r)
{
	switch (r->len) {
	case 1:
		return do_field8(vas, r);
	case 2:
		return do_field16(vas, r);
	case 4:
		return do_field32(vas, r);
	case 8:
		return do_field64(vas, r);
	}
	return -EINVAL;
}

/* The lengths, then the bytes as the vectors give them. */
static int64_t do_vectors(struct vas *vas, struct request *r)
{
	uint64_t *lens = (uint64_t *)r->data;
	uint8_t *bytes = r->data + 64 * sizeof(*lens);
	struct iovec iov[64];
	int err, nr;

	if (r->size > 64)
		return -EINVAL;
	err = vas_enter(vas);
	if (err)
		return err;
	nr = vas_iov(vas, r->gpa, r->len, r->flags, iov, (int)r->size);
	for (int i = 0; i < nr; i++) {
		lens[i] = iov[i].iov_len;
		if (bytes + iov[i].iov_len > r->data + REQUEST_DATA_MAX)
			continue;
		memcpy(bytes, iov[i].iov_base, iov[i].iov_len);
		bytes += iov[i].iov_len;
	}
	vas_leave(vas);
	r->out_size = (uint32_t)(bytes - r->data);
	return nr;
}

static int64_t do_map(struct vas *vas, struct request *r)
{
	for (unsigned int i = 0; i < MAX_MAPS; i++) {
		if (maps[i])
			continue;
		r->value = i;
		return vas_mapping_create(vas, r->gpa, r->len, r->flags, &maps[i]);
	}
	return -ENOSPC;
}

static int64_t do_mapped(struct request *r)
{
	struct vas_mapping *map = r->value < MAX_MAPS ? maps[r->value] : NULL;

	if (!map)
		return -ENOENT;
	switch (r->op) {
	case REQ_MAP_READ:
		memcpy(r->data, (uint8_t *)vas_mapping_addr(map) + r->other, r->len);
		r->out_size = (uint32_t)r->len;
		return 0;
	case REQ_MAP_WRITE:
		memcpy((uint8_t *)vas_mapping_addr(map) + r->other, r->data, r->len);
		return 0;
	case REQ_REQUEST:
		return vas_mapping_request(map);
	}
	vas_mapping_destroy(map);
	maps[r->value] = NULL;
	return 0;
}

static struct vas_region_entry entry_of(const struct vas_region *region)
{
	struct vas_region_entry entry = {
		.gpa = region->gpa,
		.size = region->size,
		.offset = region->offset,
		.backing = region->backing,
		.flags = region->flags,
		.id = region->id,
	};

	memcpy(entry.name, region->name, sizeof(entry.name));
	return entry;
}

static int64_t do_regions(struct vas *vas, struct request *r)
{
	struct vas_region_entry *entries = (struct vas_region_entry *)r->data;
	struct vas_region *regions = calloc(r->size + 1, sizeof(*regions));
	ssize_t nr = regions ? vas_regions(vas, regions, r->size) : -ENOMEM;

	for (ssize_t i = 0; i < nr && i < (ssize_t)r->size; i++)
		entries[i] = entry_of(&regions[i]);
	r->out_size = r->size * (uint32_t)sizeof(*entries);
	free(regions);
	return nr;
}

static int64_t do_region_at(struct vas *vas, struct request *r)
{
	struct vas_region_entry *entry = (struct vas_region_entry *)r->data;
	struct vas_region region;
	int err = vas_region_at(vas, r->gpa, &region);

	if (err)
		return err;
	*entry = entry_of(&region);
	r->out_size = sizeof(*entry);
	return 0;
}

static int64_t do_notified(struct vas *vas, struct request *r)
{
	struct pollfd poll_fd = { .fd = vas_notify_fd(vas), .events = POLLIN };

	if (poll_fd.fd < 0)
		return poll_fd.fd;
	if (poll(&poll_fd, 1, (int)r->value) < 0)
		return -errno;
	/* Whatever there is to know, the fd must have told of it. */
	if (r->value && !poll_fd.revents)
		return 0;
	return vas_notifications(vas);
}

static int64_t do_event(struct vas *vas, struct request *r)
{
	struct vas_event event;
	int err = vas_event_find_by_name(vas, (const char *)r->data, &event);
	int64_t count;

	if (err)
		return err;
	count = vas_doorbell_wait(vas, event.id, 0);
	r->value = count > 0 ? (uint64_t)count : 0;
	return count < 0 && count != -ETIMEDOUT ? count : event.id;
}

static int64_t execute(struct vas *vas, struct request *r)
{
	int order = 0;
	int64_t result;

	switch (r->op) {
	case REQ_READ:
		r->out_size = (uint32_t)r->len;
		return vas_read(vas, r->gpa, r->data, r->len, (size_t *)&r->done);
	case REQ_PEEK:
		r->out_size = (uint32_t)r->len;
		return vas_peek(vas, r->gpa, r->data, r->len, (size_t *)&r->done);
	case REQ_WRITE:
		return vas_write(vas, r->gpa, r->data, r->len, (size_t *)&r->done);
	case REQ_POKE:
		return vas_poke(vas, r->gpa, r->data, r->len, (size_t *)&r->done);
	case REQ_FILL:
		return vas_fill(vas, r->gpa, (uint8_t)r->value, r->len, (size_t *)&r->done);
	case REQ_COMPARE:
		result = vas_compare(vas, r->gpa, r->data, r->len, &order, (size_t *)&r->done);
		r->value = (uint64_t)(int64_t)order;
		return result;
	case REQ_SEARCH:
		return do_search(vas, r);
	case REQ_VECTORS:
		return do_vectors(vas, r);
	case REQ_MAP:
		return do_map(vas, r);
	case REQ_MAP_READ:
	case REQ_MAP_WRITE:
	case REQ_UNMAP:
	case REQ_REQUEST:
		return do_mapped(r);
	case REQ_REGIONS:
		return do_regions(vas, r);
	case REQ_REGION_AT:
		return do_region_at(vas, r);
	case REQ_OFFER:
		return vas_backing_offer(vas, r->fd);
	case REQ_NOTIFIED:
		return do_notified(vas, r);
	case REQ_EVENT:
		return do_event(vas, r);
	}
	return do_field(vas, r);
}

void request_execute(struct vas *vas, struct request *r)
{
	r->out_size = 0;
	r->done = ~0ull; /* that a call sets it is part of the contract */
	r->result = execute(vas, r);
}

static void local_call(struct subject *s, struct request *r)
{
	request_execute(s->handle, r);
}

static int owner_bind(struct subject *s, int fd)
{
	(void)fd;
	s->handle = s->owner;
	return 0;
}

static void owner_unbind(struct subject *s)
{
	s->handle = NULL;
}

static int handle_bind(struct subject *s, int fd)
{
	return vas_bind(fd, s->kind->bind_flags, &s->handle);
}

static void handle_unbind(struct subject *s)
{
	vas_unbind(s->handle);
	s->handle = NULL;
}

const struct subject_ops subject_owner = {
	.bind = owner_bind,
	.unbind = owner_unbind,
	.call = local_call,
};

const struct subject_ops subject_handle = {
	.bind = handle_bind,
	.unbind = handle_unbind,
	.call = local_call,
};
