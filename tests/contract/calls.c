// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The requests as functions, for the rules. */
#include "subject.h"

/* Lengths that the other side must refuse may be far beyond the buffer: nothing is copied then. */
static int fits(size_t len)
{
	return len <= REQUEST_DATA_MAX;
}

static int64_t call(struct subject *s, struct request *r)
{
	lazy_settle(s);
	r->data = s->data;
	if (r->op != REQ_OFFER)
		r->fd = REQUEST_NO_FD;
	s->kind->ops->call(s, r);
	return r->result;
}

static int finish(const struct request *r, size_t *done)
{
	if (done)
		*done = r->done;
	return (int)r->result;
}

static int copy_out(struct subject *s, struct request *r, void *buf, size_t *done)
{
	if (!fits(r->len))
		test_fail(__FILE__, __LINE__, "a read of %zu bytes does not fit", (size_t)r->len);
	call(s, r);
	if (r->done <= r->len)
		memcpy(buf, s->data, r->done);
	return finish(r, done);
}

int subject_read(struct subject *s, uint64_t gpa, void *buf, size_t len, size_t *done)
{
	struct request r = { .op = REQ_READ, .gpa = gpa, .len = len };

	return copy_out(s, &r, buf, done);
}

int subject_peek(struct subject *s, uint64_t gpa, void *buf, size_t len, size_t *done)
{
	struct request r = { .op = REQ_PEEK, .gpa = gpa, .len = len };

	return copy_out(s, &r, buf, done);
}

static int copy_in(struct subject *s, struct request *r, const void *buf, size_t *done)
{
	if (!fits(r->len))
		test_fail(__FILE__, __LINE__, "a write of %zu bytes does not fit", (size_t)r->len);
	r->in_size = (uint32_t)r->len;
	memcpy(s->data, buf, r->len);
	call(s, r);
	return finish(r, done);
}

int subject_write(struct subject *s, uint64_t gpa, const void *buf, size_t len, size_t *done)
{
	struct request r = { .op = REQ_WRITE, .gpa = gpa, .len = len };

	return copy_in(s, &r, buf, done);
}

int subject_poke(struct subject *s, uint64_t gpa, const void *buf, size_t len, size_t *done)
{
	struct request r = { .op = REQ_POKE, .gpa = gpa, .len = len };

	return copy_in(s, &r, buf, done);
}

int subject_fill(struct subject *s, uint64_t gpa, uint8_t byte, size_t len, size_t *done)
{
	struct request r = { .op = REQ_FILL, .gpa = gpa, .len = len, .value = byte };

	call(s, &r);
	return finish(&r, done);
}

int subject_compare(struct subject *s, uint64_t gpa, const void *buf, size_t len,
		    struct comparison *result)
{
	struct request r = { .op = REQ_COMPARE, .gpa = gpa, .len = len, .in_size = (uint32_t)len };

	CHECK(fits(len));
	memcpy(s->data, buf, len);
	call(s, &r);
	result->order = (int)(int64_t)r.value;
	return finish(&r, &result->done);
}

int subject_search(struct subject *s, uint64_t gpa, uint64_t len, const struct vas_pattern *pattern,
		   uint64_t *found)
{
	struct request r = {
		.op = REQ_SEARCH,
		.gpa = gpa,
		.len = len,
		.size = (uint32_t)pattern->len,
		.in_size = (uint32_t)(2 * pattern->len),
	};

	memcpy(s->data, pattern->bytes, pattern->len);
	if (pattern->mask)
		memcpy(s->data + pattern->len, pattern->mask, pattern->len);
	else
		memset(s->data + pattern->len, 0xff, pattern->len);
	call(s, &r);
	*found = r.value;
	return (int)r.result;
}

int subject_load(struct subject *s, uint64_t gpa, unsigned int width, uint64_t *val)
{
	struct request r = { .op = REQ_LOAD, .gpa = gpa, .len = width };

	call(s, &r);
	*val = r.value;
	return (int)r.result;
}

int subject_store(struct subject *s, uint64_t gpa, unsigned int width, uint64_t val)
{
	struct request r = { .op = REQ_STORE, .gpa = gpa, .len = width, .value = val };

	return (int)call(s, &r);
}

int subject_rmw(struct subject *s, enum request_op op, uint64_t gpa, unsigned int width,
		uint64_t *val)
{
	struct request r = { .op = op, .gpa = gpa, .len = width, .value = *val };

	call(s, &r);
	*val = r.value;
	return (int)r.result;
}

int subject_cmpxchg(struct subject *s, uint64_t gpa, unsigned int width, uint64_t *expected,
		    uint64_t desired)
{
	struct request r = {
		.op = REQ_CMPXCHG,
		.gpa = gpa,
		.len = width,
		.value = desired,
		.other = *expected,
	};

	call(s, &r);
	*expected = r.other;
	return (int)r.result;
}

int subject_vectors(struct subject *s, uint64_t gpa, uint64_t len, struct vectors *v)
{
	struct request r = { .op = REQ_VECTORS, .gpa = gpa, .len = len, .flags = v->prot };

	r.size = (uint32_t)(v->room ? v->room : 64);
	call(s, &r);
	memcpy(v->lens, s->data, sizeof(v->lens));
	v->bytes = s->data + sizeof(v->lens);
	return (int)r.result;
}

int subject_map(struct subject *s, uint64_t gpa, uint64_t len, uint32_t flags, uint64_t *map)
{
	struct request r = { .op = REQ_MAP, .gpa = gpa, .len = len, .flags = flags };

	call(s, &r);
	*map = r.value;
	return (int)r.result;
}

int subject_map_read(struct subject *s, uint64_t map, uint64_t at, void *buf, size_t len)
{
	struct request r = { .op = REQ_MAP_READ, .value = map, .other = at, .len = len };

	CHECK(fits(len));
	call(s, &r);
	if (!r.result)
		memcpy(buf, s->data, len);
	return (int)r.result;
}

int subject_map_write(struct subject *s, uint64_t map, uint64_t at, const void *buf, size_t len)
{
	struct request r = { .op = REQ_MAP_WRITE, .value = map, .other = at, .len = len };

	CHECK(fits(len));
	r.in_size = (uint32_t)len;
	memcpy(s->data, buf, len);
	return (int)call(s, &r);
}

int subject_unmap(struct subject *s, uint64_t map)
{
	struct request r = { .op = REQ_UNMAP, .value = map };

	return (int)call(s, &r);
}

int subject_request(struct subject *s, uint64_t map)
{
	struct request r = { .op = REQ_REQUEST, .value = map };

	return (int)call(s, &r);
}

int subject_regions(struct subject *s, struct vas_region_entry *entries, unsigned int nr)
{
	struct request r = { .op = REQ_REGIONS, .size = nr };

	call(s, &r);
	memcpy(entries, s->data, nr * sizeof(*entries));
	return (int)r.result;
}

int subject_region_at(struct subject *s, uint64_t gpa, struct vas_region_entry *entry)
{
	struct request r = { .op = REQ_REGION_AT, .gpa = gpa };

	call(s, &r);
	memcpy(entry, s->data, sizeof(*entry));
	return (int)r.result;
}

int subject_offer(struct subject *s, int fd)
{
	struct request r = { .op = REQ_OFFER, .fd = fd };

	return (int)call(s, &r);
}

int subject_notified(struct subject *s, unsigned int timeout_ms)
{
	struct request r = { .op = REQ_NOTIFIED, .value = timeout_ms };

	return (int)call(s, &r);
}

int64_t subject_event(struct subject *s, const char *name, uint64_t *count)
{
	struct request r = { .op = REQ_EVENT, .in_size = (uint32_t)strlen(name) + 1 };

	memcpy(s->data, name, r.in_size);
	call(s, &r);
	*count = r.value;
	return r.result;
}
