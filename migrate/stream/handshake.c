// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The messages beside the rounds: HELLO, LAYOUT, STATE, END, and what the destination answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>
#include <vas/device.h>

#include "migrate/base/layout.h"
#include "migrate/stream/migration.h"

#define GIVE_UP_NS 50000000ull

static uint32_t hello_flags(const struct vas_migrate_options *options)
{
	return (options->flags & VAS_MIGRATE_ONE_WAY ? STREAM_ONE_WAY : 0) |
	       (options->ops->describe ? STREAM_DESCRIBED : 0);
}

int send_hellos(struct migration *m)
{
	struct sender *s = &m->sender;
	int err = 0;
	uint32_t i;

	for (i = 0; !err && i < s->nr_channels; i++) {
		struct stream_header header = { .type = STREAM_HELLO,
						.length = sizeof(struct stream_hello) };
		struct stream_hello hello = {
			.version = STREAM_VERSION,
			.channel = i,
			.nr_channels = s->nr_channels,
			.flags = hello_flags(&s->options),
		};

		memcpy(hello.session, s->session, sizeof(hello.session));
		err = wire_send(&s->channels[i].wire, &header, &hello);
	}
	return err;
}

int send_layout(struct migration *m)
{
	struct stream_header header = { .type = STREAM_LAYOUT };
	struct stream_layout *layout;
	int err = layout_describe(m->sender.vas, m->regions, m->nr_regions, &layout);

	if (err)
		return err;
	header.length = (uint32_t)layout_size(layout);
	err = wire_send(&m->sender.channels[0].wire, &header, layout);
	free(layout);
	return err;
}

int send_devices(struct migration *m)
{
	struct stream_header header = { .type = STREAM_DEVICES };
	void *devices;
	size_t size;
	int err = vas_devices_save(m->sender.vas, &devices, &size);

	if (err)
		return err;
	header.length = (uint32_t)size;
	if (size)
		err = wire_send(&m->sender.channels[0].wire, &header, devices);
	free(devices);
	return err;
}

/* What the VMM gives, from malloc(). */
static int send_given(struct migration *m, int (*give)(void *arg, void **bytes, size_t *size),
		      enum stream_type type, size_t most)
{
	struct stream_header header = { .type = type };
	void *bytes = NULL;
	size_t size = 0;
	int err = give ? give(m->sender.options.arg, &bytes, &size) : 0;

	if (!err && size > most)
		err = vas_error_set(-EFBIG, "a state of %zu bytes is too large", size);
	header.length = (uint32_t)size;
	if (!err)
		err = wire_send(&m->sender.channels[0].wire, &header, bytes);
	free(bytes);
	return err;
}

int send_description(struct migration *m)
{
	const struct vas_migrate_ops *ops = m->sender.options.ops;

	if (!ops->describe)
		return 0;
	return send_given(m, ops->describe, STREAM_DESCRIPTION, STREAM_MAX_DESCRIPTION);
}

int send_state(struct migration *m)
{
	return send_given(m, m->sender.options.ops->save, STREAM_STATE, STREAM_MAX_STATE);
}

int send_ends(struct migration *m)
{
	struct sender *s = &m->sender;
	int err = 0;
	uint32_t i;

	for (i = 0; !err && i < s->nr_channels; i++) {
		struct channel *c = &s->channels[i];
		struct stream_header header = { .type = STREAM_END,
						.round = s->round,
						.gpa = c->wire.sequence,
						.data = c->pages };

		err = wire_send(&c->wire, &header, NULL);
	}
	return err;
}

/* The most signs of life that an honest destination gives. */
static uint64_t nr_segments(const struct migration *m)
{
	uint64_t nr = 0;
	size_t i;

	for (i = 0; i < m->nr_regions; i++)
		nr += (m->regions[i].size + STREAM_SEGMENT - 1) / STREAM_SEGMENT;
	return nr;
}

/*
 * The destination has made the memory, populated if it wants that; it may also refuse, and be gone.
 */
int wait_for_ready(struct migration *m)
{
	struct stream_header header;
	uint64_t left = nr_segments(m);
	int err;

	if (m->sender.options.flags & VAS_MIGRATE_ONE_WAY)
		return 0;
	m->back = m->sender.channels[0].wire;
	m->back.sequence = 0;
	wire_set_key(&m->back, m->sender.session, 0, true);
	do
		err = wire_recv_header(&m->back, &header);
	while (!err && header.type == STREAM_WAIT && left--);
	if (!err && header.type != STREAM_READY)
		err = vas_error_set(-EPROTO, "the destination does not say that it is ready");
	return err;
}

/*
 * A destination that reads END must find ABORT behind it, or it takes us for dead: it is sent, even
 * if the socket's buffer was full.
 */
static void give_up(struct migration *m)
{
	struct wire *wire = &m->sender.channels[0].wire;
	struct stream_header header = { .type = STREAM_ABORT };

	wire_make_room(wire);
	m->sender.group.limit.at_ns = UINT64_MAX;
	wire->stall_ns = GIVE_UP_NS;
	wire_send(wire, &header, NULL);
	wire_shut(wire);
}

/*
 * DONE decides: once the destination has written it, it may run. A sender that will not wait any
 * longer sends ABORT and shuts the socket, then looks once more: what had been written by then is
 * there to be read.
 */
int wait_for_done(struct migration *m)
{
	struct stream_header header;
	int err;

	if (m->sender.options.flags & VAS_MIGRATE_ONE_WAY)
		return 0;
	err = wire_recv_header(&m->back, &header);
	if (err == -ETIMEDOUT) {
		give_up(m);
		if (wire_recv_header(&m->back, &header))
			return vas_error_set(
				err, "the destination has not said in time that it has all");
		err = 0;
	}
	if (!err && header.type != STREAM_DONE)
		err = vas_error_set(-EPROTO, "the destination does not say that it is done");
	return err;
}
