// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The destination: nothing is believed, and nothing is a vas before all of it is there. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>
#include <vas/device.h>
#include <vas/migrate.h>

#include "migrate/stream/hello.h"
#include "lib/base/spawn.h"
#include "migrate/base/pack.h"
#include "migrate/base/target.h"
#include "migrate/stream/wire.h"

#define LAYOUT_MAX_SIZE \
	(sizeof(struct stream_layout) + VAS_MAX_REGIONS * sizeof(struct vas_region_entry))

#define PROGRESS_NS 100000000ull

struct receiver;

struct source {
	struct receiver *receiver;
	struct wire wire;
	struct pack pack;
	char *raw; /* a word's pages, before they are written */
	uint32_t round;
	uint64_t pages;
	bool has_devices, has_state;
	pthread_t thread;
	int err;
	char error[256];
};

struct receiver {
	struct source sources[VAS_MIGRATE_MAX_CHANNELS];
	uint32_t nr;
	uint8_t session[16];
	uint32_t flags;	  /* of HELLO */
	struct wire back; /* channel 0, the other way */
	struct wire_group group;
	struct target target;
	const struct vas_migrate_target *options;
	bool has_begun; /* the caller's begin() */
	/* Protects nr_running; `ended` tells that a channel's thread has. */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	uint32_t nr_running;
	void *devices, *state;
	size_t devices_size, state_size;
};

/* ---- words -------------------------------------------------------------------------------- */

static size_t size_of_pages(const struct stream_header *header)
{
	return (size_t)__builtin_popcountll(header->data) * VAS_PAGE_SIZE;
}

/* Into src->raw. */
static int recv_raw(struct source *src, const struct stream_header *header)
{
	struct iovec iov = { header->flags ? src->pack.buffer : src->raw, header->length };
	int err;

	if (header->flags && header->length > src->pack.room)
		return vas_error_set(-EPROTO, "a packed chunk is larger than it can be");
	err = wire_recv_payload(&src->wire, header, &iov, header->length ? 1 : 0);
	if (err || !header->flags)
		return err;
	return unpack_word(&src->pack, header->flags, header->length, src->raw,
			   size_of_pages(header));
}

/* The kernel, which writes for us, gets no SIGBUS. */
static int recv_mapped(struct source *src, const struct stream_header *header)
{
	struct iovec iov[64];
	int err, nr = target_iov(&src->receiver->target, header->gpa, header->data, iov);

	if (nr < 0)
		return nr;
	err = wire_recv_payload(&src->wire, header, iov, nr);
	if (err != -EFAULT)
		return err;
	return vas_error_set(-ENOMEM, "no memory, or no free huge page, at gpa %#llx",
			     (unsigned long long)header->gpa);
}

static int recv_pages(struct source *src, const struct stream_header *header)
{
	struct target *target = &src->receiver->target;
	int err;

	if (target->is_mapped && !header->flags)
		return recv_mapped(src, header);
	err = recv_raw(src, header);
	return err ? err : target_write(target, header->gpa, header->data, src->raw);
}

static int recv_word(struct source *src, const struct stream_header *header)
{
	size_t size = size_of_pages(header);
	int err;

	if (header->data & header->zero || header->round < src->round ||
	    header->flags & ~(STREAM_LZ4 | STREAM_ZSTD) ||
	    stream_channel_of(header->gpa, src->receiver->nr) != src->wire.channel ||
	    (header->flags ? !size || !header->length : header->length != size))
		return vas_error_set(-EPROTO, "a chunk of pages that makes no sense");
	src->round = header->round;
	src->pages += (uint64_t)__builtin_popcountll(header->data | header->zero);
	err = recv_pages(src, header);
	if (!err)
		err = target_clear(&src->receiver->target, header->gpa, header->zero);
	return err ? err : target_check(&src->receiver->target);
}

/* ---- a channel ---------------------------------------------------------------------------- */

/* A payload that is kept; NULL: it is empty. */
static int recv_bytes(struct source *src, const struct stream_header *header, void **bytes,
		      size_t *size)
{
	struct iovec iov;

	*bytes = header->length ? malloc(header->length) : NULL;
	if (header->length && !*bytes)
		return vas_error_set(-ENOMEM, "no memory for a state of %u bytes", header->length);
	*size = header->length;
	iov = (struct iovec){ *bytes, header->length };
	return wire_recv_payload(&src->wire, header, &iov, header->length ? 1 : 0);
}

static int recv_devices(struct source *src, const struct stream_header *header)
{
	struct receiver *r = src->receiver;

	if (src->wire.channel || src->has_devices || src->has_state ||
	    header->length > STREAM_MAX_DEVICES)
		return vas_error_set(-EPROTO, "devices where none can be");
	src->has_devices = true;
	return recv_bytes(src, header, &r->devices, &r->devices_size);
}

static int recv_state(struct source *src, const struct stream_header *header)
{
	struct receiver *r = src->receiver;

	if (src->wire.channel || src->has_state || header->length > STREAM_MAX_STATE)
		return vas_error_set(-EPROTO, "a state where none can be");
	src->has_state = true;
	return recv_bytes(src, header, &r->state, &r->state_size);
}

static int check_end(const struct source *src, const struct stream_header *header)
{
	if (header->length || header->gpa != header->sequence || header->data != src->pages ||
	    (!src->wire.channel && !src->has_state))
		return vas_error_set(-EPROTO, "the stream's end does not fit what came before");
	return 0;
}

static int recv_chunks(struct source *src)
{
	struct stream_header header;
	int err;

	for (;;) {
		err = wire_recv_header(&src->wire, &header);
		if (err)
			return err;
		switch (header.type) {
		case STREAM_WORD:
			err = src->has_devices || src->has_state ?
				      vas_error_set(-EPROTO, "pages after the state") :
				      recv_word(src, &header);
			break;
		case STREAM_DEVICES:
			err = recv_devices(src, &header);
			break;
		case STREAM_STATE:
			err = recv_state(src, &header);
			break;
		case STREAM_ALIVE:
			if (header.length)
				err = vas_error_set(-EPROTO, "a sign of life with a payload");
			break;
		case STREAM_END:
			return check_end(src, &header);
		default:
			err = vas_error_set(-EPROTO, "a chunk of type %u has no place here",
					    header.type);
		}
		if (err)
			return err;
	}
}

static void *source_run(void *arg)
{
	struct source *src = arg;
	struct receiver *r = src->receiver;

	src->err = recv_chunks(src);
	if (src->err) {
		strncpy(src->error, vas_error(), sizeof(src->error) - 1);
		__atomic_store_n(&r->group.cancel, true, __ATOMIC_RELAXED);
	}
	pthread_mutex_lock(&r->lock);
	r->nr_running--;
	pthread_cond_signal(&r->ended);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static int is_canceled(const struct vas_migrate_target *options)
{
	return options->ops && options->ops->progress && options->ops->progress(options->arg);
}

/* Until all have ended; the caller's progress() is called meanwhile. */
static int wait_for_sources(struct receiver *r)
{
	int err = 0;

	pthread_mutex_lock(&r->lock);
	while (r->nr_running) {
		const struct deadline d = deadline_in(PROGRESS_NS);
		const struct timespec until = { (time_t)(d.at_ns / NSEC_PER_SEC),
						(long)(d.at_ns % NSEC_PER_SEC) };

		if (pthread_cond_timedwait(&r->ended, &r->lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&r->lock);
		if (!err && is_canceled(r->options))
			err = vas_error_set(-ECANCELED, "canceled");
		if (err)
			__atomic_store_n(&r->group.cancel, true, __ATOMIC_RELAXED);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}

static int run_sources(struct receiver *r)
{
	uint32_t started, i;
	int err = 0, canceled;

	r->nr_running = r->nr;
	for (started = 0; !err && started < r->nr; started += !err)
		err = vas_spawn(&r->sources[started].thread, source_run, &r->sources[started]);
	if (err) {
		vas_error_set(err, "no thread for a channel: %s", strerror(-err));
		__atomic_store_n(&r->group.cancel, true, __ATOMIC_RELAXED);
	}
	pthread_mutex_lock(&r->lock);
	r->nr_running -= r->nr - started;
	pthread_mutex_unlock(&r->lock);
	canceled = wait_for_sources(r);
	err = err ? err : canceled;
	for (i = 0; i < started; i++)
		pthread_join(r->sources[i].thread, NULL);
	for (i = 0; i < started; i++)
		if (r->sources[i].err && (!err || err == -ECANCELED))
			err = vas_error_set(r->sources[i].err, "%s", r->sources[i].error);
	return err;
}

/* ---- beginning ---------------------------------------------------------------------------- */

static int check_hello(struct receiver *r, uint32_t i, const struct stream_header *header,
		       const struct stream_hello *hello)
{
	int err = hello_check(&r->sources[i].wire, header, hello);

	if (err)
		return err;
	if (hello->channel != i || hello->nr_channels != r->nr ||
	    hello->flags & ~(STREAM_ONE_WAY | STREAM_DESCRIBED))
		return vas_error_set(-EPROTO, "channel %u of %u comes where %u of %u should",
				     hello->channel, hello->nr_channels, i, r->nr);
	if (i && memcmp(hello->session, r->session, sizeof(r->session)))
		return vas_error_set(-EPROTO, "channels of different streams");
	memcpy(r->session, hello->session, sizeof(r->session));
	r->flags = hello->flags;
	return 0;
}

static int recv_hello(struct receiver *r, uint32_t i)
{
	struct stream_header header;
	struct stream_hello hello;
	struct iovec iov = { &hello, sizeof(hello) };
	int err = wire_recv_header(&r->sources[i].wire, &header);

	if (err)
		return err;
	if (header.type != STREAM_HELLO || header.length != sizeof(hello))
		return vas_error_set(-EPROTO, "the stream does not begin as one does");
	err = wire_recv_payload(&r->sources[i].wire, &header, &iov, 1);
	return err ? err : check_hello(r, i, &header, &hello);
}

/* ---- the way back ------------------------------------------------------------------------- */

static void open_back(struct receiver *r)
{
	r->back = r->sources[0].wire;
	r->back.sequence = 0;
	wire_set_key(&r->back, r->session, 0, true);
}

static int answer(struct receiver *r, enum stream_type type)
{
	struct stream_header header = { .type = type };

	return r->flags & STREAM_ONE_WAY ? 0 : wire_send(&r->back, &header, NULL);
}

/* Making memory takes long, and the source has patience with those who give signs of life. */
static int send_wait(void *receiver)
{
	return answer(receiver, STREAM_WAIT);
}

/* ---- the memory --------------------------------------------------------------------------- */

static int recv_layout(struct receiver *r, const struct vas_migrate_target *options)
{
	struct target_options target = {
		.create_flags = options->create_flags,
		.max_ram = options->max_ram,
		.populated = options->flags & VAS_MIGRATE_POPULATE ? send_wait : NULL,
		.arg = r,
	};
	struct wire *wire = &r->sources[0].wire;
	struct stream_header header;
	struct iovec iov;
	int err = wire_recv_header(wire, &header);

	if (err)
		return err;
	if (header.type != STREAM_LAYOUT || header.length < sizeof(struct stream_layout) ||
	    header.length > LAYOUT_MAX_SIZE)
		return vas_error_set(-EPROTO, "the stream has no layout where it should be");
	iov = (struct iovec){ malloc(header.length), header.length };
	if (!iov.iov_base)
		return vas_error_set(-ENOMEM, "no memory for a layout");
	err = wire_recv_payload(wire, &header, &iov, 1);
	if (!err)
		err = target_init(&r->target, iov.iov_base, header.length, &target);
	free(iov.iov_base);
	return err;
}

/* What runs in further backings has to know their regions, which are the last thing to be there. */
static bool has_backings(const struct vas *vas)
{
	uint32_t i;

	for (i = 1; i < VAS_MAX_BACKINGS; i++)
		if (vas_backing_fd(vas, i) >= 0)
			return true;
	return false;
}

static int begin(struct receiver *r, const void *description, size_t size)
{
	const struct vas_migrate_target_ops *ops = r->options->ops;
	int err;

	if (!ops || !ops->begin || has_backings(r->target.vas))
		return 0;
	err = ops->begin(r->options->arg, r->target.vas, description, size);
	r->has_begun = !err;
	return err;
}

static int recv_description(struct receiver *r)
{
	struct source *src = &r->sources[0];
	struct stream_header header;
	void *description = NULL;
	size_t size = 0;
	int err;

	if (!(r->flags & STREAM_DESCRIBED))
		return 0;
	err = wire_recv_header(&src->wire, &header);
	if (err)
		return err;
	if (header.type != STREAM_DESCRIPTION || header.length > STREAM_MAX_DESCRIPTION)
		return vas_error_set(-EPROTO,
				     "the stream has no description of its guest where it should "
				     "be");
	err = recv_bytes(src, &header, &description, &size);
	if (!err)
		err = begin(r, description, size);
	free(description);
	return err;
}

static int source_init(struct receiver *r, const struct vas_migrate_target *options, uint32_t i)
{
	struct source *src = &r->sources[i];

	src->receiver = r;
	wire_init(&src->wire, options->fds[i], options->stall_ns, &r->group);
	src->raw = aligned_alloc(VAS_PAGE_SIZE, STREAM_WORD_SIZE);
	if (!src->raw)
		return vas_error_set(-ENOMEM, "no memory for buffers");
	return pack_init(&src->pack, 0);
}

/* ---- the end ------------------------------------------------------------------------------ */

/*
 * From the moment that DONE is written, this side may run. If it cannot be written, the source has
 * given up (then ABORT is here to be read) or is gone.
 */
static int send_done(struct receiver *r, struct vas_migrate_result *result)
{
	struct stream_header header;
	int err = answer(r, STREAM_DONE);

	if (err != -ECONNRESET)
		return err;
	if (!wire_recv_header(&r->sources[0].wire, &header) && header.type == STREAM_ABORT)
		return vas_error_set(-ECONNRESET, "the source has given up");
	result->source_gone = 1;
	return 0;
}

static void fill_result(struct receiver *r, struct vas_migrate_result *result)
{
	uint32_t i;

	result->rounds = r->sources[0].round + 1;
	for (i = 0; i < r->nr; i++)
		result->pages += r->sources[i].pages;
	result->state = r->state;
	result->state_size = r->state_size;
	r->state = NULL;
}

/* It is a vas; whether it is to be ours is said here, first by the caller, then to the source. */
static int conclude(struct receiver *r, struct vas *vas, struct vas_migrate_result *result)
{
	const struct vas_migrate_target_ops *ops = r->options->ops;
	int err = ops ? ops->accept(r->options->arg, vas, r->state, r->state_size) : 0;

	if (err)
		return err;
	r->has_begun = true;
	return send_done(r, result);
}

static void withdraw(struct receiver *r)
{
	const struct vas_migrate_target_ops *ops = r->options->ops;

	if (r->has_begun && ops && ops->withdraw)
		ops->withdraw(r->options->arg);
	r->has_begun = false;
}

static int receive(struct receiver *r, struct vas **vas, struct vas_migrate_result *result)
{
	const struct vas_migrate_target *options = r->options;
	struct vas *received;
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < r->nr; i++)
		err = source_init(r, options, i);
	for (i = 0; !err && i < r->nr; i++)
		err = recv_hello(r, i);
	if (!err) {
		open_back(r);
		err = recv_layout(r, options);
	}
	if (!err)
		err = recv_description(r);
	if (!err)
		err = answer(r, STREAM_READY);
	if (!err)
		err = run_sources(r);
	if (!err)
		err = vas_devices_load(r->target.vas, r->devices, r->devices_size);
	if (!err)
		err = target_publish(&r->target, &received);
	if (err)
		return err;
	err = conclude(r, received, result);
	if (err) {
		withdraw(r);
		target_clean(&r->target);
		vas_destroy(received);
		return err;
	}
	*vas = received;
	return 0;
}

static void receiver_init(struct receiver *r, const struct vas_migrate_target *options)
{
	pthread_condattr_t attr;

	r->options = options;
	r->nr = options->nr_fds;
	r->group.limit.at_ns = UINT64_MAX;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->ended, &attr);
	pthread_condattr_destroy(&attr);
}

static void receiver_free(struct receiver *r, int err)
{
	uint32_t i;

	target_clean(&r->target);
	for (i = 0; i < r->nr; i++) {
		if (err && r->sources[i].receiver)
			wire_shut(&r->sources[i].wire);
		if (r->sources[i].receiver)
			wire_clean(&r->sources[i].wire);
		pack_clean(&r->sources[i].pack);
		free(r->sources[i].raw);
	}
	pthread_cond_destroy(&r->ended);
	pthread_mutex_destroy(&r->lock);
	free(r->devices);
	free(r->state);
	free(r);
}

int vas_migrate_recv(const struct vas_migrate_target *options, struct vas **vas,
		     struct vas_migrate_result *result)
{
	struct receiver *r;
	int err;

	if (!options->nr_fds || options->nr_fds > VAS_MIGRATE_MAX_CHANNELS)
		return vas_error_set(-EINVAL, "nr_fds is %u, but a stream has 1 to %u channels",
				     options->nr_fds, VAS_MIGRATE_MAX_CHANNELS);
	if (options->flags & ~VAS_MIGRATE_POPULATE)
		return vas_error_set(-EINVAL, "unknown flags %#x", options->flags);
	memset(result, 0, sizeof(*result));
	r = calloc(1, sizeof(*r));
	if (!r)
		return vas_error_set(-ENOMEM, "no memory to receive with");
	receiver_init(r, options);
	err = receive(r, vas, result);
	if (!err)
		fill_result(r, result);
	else
		withdraw(r);
	receiver_free(r, err);
	return err;
}
