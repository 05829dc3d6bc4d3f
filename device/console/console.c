// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/console/console.h"

#include <linux/virtio_ids.h>
#include <signal.h>

#include "device/queue.h"
#include "device/stream.h"

#define SEGMENTS 64u
#define PART	 4096u /* of what is moved at once */

enum { QUEUE_IN, QUEUE_OUT, NR_QUEUES };

/* What a queue's thread works on: the chain in front, which is taken when it is done. */
struct server {
	struct console_peer *peer;
	struct device_queue *queue;
	struct vas_virtq_segment segments[SEGMENTS];
	struct vas_virtq_chain chain;
	struct vas_virtq_burst burst; /* of that chain */
	uint64_t written;	      /* of it */
	uint8_t bytes[PART];
};

static void answer(struct server *server, uint32_t len)
{
	const struct vas_virtq_chain *chain = &server->chain;
	struct vas_virtq_answer answer = { chain->head, chain->nr_descs, len };

	device_queue_take(server->queue, chain, 1);
	device_queue_answer(server->queue, &answer, 1);
}

/* ---- to the guest ------------------------------------------------------------------------- */

/* False: the peer has nothing to say. */
static bool give(struct server *server)
{
	const struct vas_virtq_chain *chain = &server->chain;
	struct stream in = stream_in(chain);
	size_t nr = chain->len_in < PART ? (size_t)chain->len_in : PART;

	if (chain->nr_out || !nr) {
		device_queue_break(server->queue);
		return false;
	}
	nr = console_peer_read(server->peer, server->bytes, nr);
	if (!nr)
		return false;
	if (stream_write(&in, server->queue->memory, server->bytes, nr))
		device_queue_break(server->queue);
	else
		answer(server, (uint32_t)nr);
	return true;
}

static void serve_in(struct server *server)
{
	struct device_queue *queue = server->queue;

	device_queue_give_back(queue, &server->chain);
	while (!device_queue_is_stopping(queue))
		if (!device_queue_peek(queue, &server->burst))
			device_queue_idle(queue, -1);
		else if (!give(server))
			device_queue_wait(queue, server->peer->in_epoll);
}

/* ---- from the guest ----------------------------------------------------------------------- */

/* A part of what is left of the chain. False: the peer takes nothing now. */
static bool pass_on(struct server *server)
{
	const struct vas_virtq_chain *chain = &server->chain;
	uint64_t skipped = 0, nr, left = chain->len_out - server->written;
	struct stream out = stream_out(chain);
	size_t part = left < PART ? (size_t)left : PART;

	for (; skipped < server->written; skipped += nr) {
		nr = server->written - skipped;
		stream_next(&out, &nr);
	}
	if (stream_read(&out, server->queue->memory, server->bytes, part)) {
		device_queue_break(server->queue);
		return false;
	}
	nr = console_peer_write(server->peer, server->bytes, part);
	server->written += nr;
	return nr != 0;
}

/*
 * A chain that the peer has no room for is not taken: who goes on after a stop or a death begins it
 * anew. No section is held meanwhile.
 */
static void serve_out(struct server *server)
{
	struct device_queue *queue = server->queue;

	while (!device_queue_is_stopping(queue))
		if (!device_queue_peek(queue, &server->burst)) {
			device_queue_idle(queue, -1);
		} else if (server->written >= server->chain.len_out) {
			answer(server, 0);
			server->written = 0;
		} else if (!pass_on(server)) {
			device_queue_wait(queue, server->peer->out_epoll);
		}
}

/* ---- the device --------------------------------------------------------------------------- */

/* A pipe that nobody reads is an error of write(). */
static void block_sigpipe(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int console_queue(struct vas_device *device, struct device_queue *queue)
{
	struct server server = { .peer = &((struct console *)device)->peer, .queue = queue };

	server.chain.segments = server.segments;
	server.chain.max_segments = SEGMENTS;
	server.burst = (struct vas_virtq_burst){
		.chains = &server.chain,
		.segments = server.segments,
		.max_chains = 1,
		.max_segments = SEGMENTS,
	};
	block_sigpipe();
	if (queue->index == QUEUE_IN)
		serve_in(&server);
	else
		serve_out(&server);
	return 0;
}

static int console_start(struct vas_device *device, uint64_t features)
{
	(void)device;
	(void)features;
	return 0;
}

/* Connections go on: queues stand still whenever the guest's memory changes. */
static void do_nothing(struct vas_device *device)
{
	(void)device;
}

static void console_config(struct vas_device *device, uint32_t offset, void *to, uint32_t len)
{
	(void)device;
	vas_device_copy_config(NULL, 0, offset, to, len);
}

static const struct vas_device_ops console_ops = {
	.start = console_start,
	.stop = do_nothing,
	.reset = do_nothing,
	.config = console_config,
	.queue = console_queue,
};

int console_open(struct console *console, const struct console_options *options)
{
	*console = (struct console){
		.device = { .ops = &console_ops,
			    .kind = VIRTIO_ID_CONSOLE,
			    .max_queues = NR_QUEUES,
			    .queue_size = options->queue_size },
	};
	return console_peer_open(&console->peer, &options->peer);
}

void console_close(struct console *console)
{
	console_peer_close(&console->peer);
}
