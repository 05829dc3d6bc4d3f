// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The messages beside the rounds: HELLO, LAYOUT, STATE, END, and what the destination answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "migrate/base/layout.h"
#include "migrate/stream/migration.h"

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
			.flags = s->options.flags & VAS_MIGRATE_ONE_WAY ? STREAM_ONE_WAY : 0,
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

int send_state(struct migration *m)
{
	const struct vas_migrate_options *options = &m->sender.options;
	struct stream_header header = { .type = STREAM_STATE };
	void *state = NULL;
	size_t size = 0;
	int err = 0;

	if (options->ops->save)
		err = options->ops->save(options->arg, &state, &size);
	if (!err && size > STREAM_MAX_STATE)
		err = vas_error_set(-EFBIG, "a state of %zu bytes is too large", size);
	header.length = (uint32_t)size;
	if (!err)
		err = wire_send(&m->sender.channels[0].wire, &header, state);
	free(state);
	return err;
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
 * DONE decides: once the destination has written it, it may run. A sender that will not wait any
 * longer sends ABORT and shuts the socket, then looks once more: what had been written by then is
 * there to be read.
 */
int wait_for_done(struct migration *m)
{
	struct wire *wire = &m->sender.channels[0].wire;
	struct stream_header header = { .type = STREAM_ABORT };
	int err;

	if (m->sender.options.flags & VAS_MIGRATE_ONE_WAY)
		return 0;
	m->back.cancel = NULL;
	err = wire_recv_header(&m->back, &header);
	if (err == -ETIMEDOUT) {
		struct stream_header give_up = { .type = STREAM_ABORT };

		wire_send(wire, &give_up, NULL);
		wire_shut(wire);
		err = wire_recv_header(&m->back, &header);
	}
	if (!err && header.type != STREAM_DONE)
		err = vas_error_set(-EPROTO, "the destination does not say that it is done");
	return err;
}
