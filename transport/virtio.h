/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What virtio-pci and virtio-mmio have in common: the status, the features, and the queues of a
 * device, as its driver drives them, and the calls of its server that follow from that.
 *
 *	status		what may be done by the driver		what may not, and is ignored
 *	0 .. DRIVER	features				queues
 *	FEATURES_OK	queues: size, addresses, enable		features
 *	DRIVER_OK	the same; enabled ones are served	features
 *
 * A queue's size and addresses are what they were when it was enabled, until it is reset. All calls
 * come with the device's lock held, which is the transport's; the first and the last need none.
 */
#ifndef TRANSPORT_VIRTIO_H
#define TRANSPORT_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include <vas/virtio.h>

#include "transport/event.h"
#include "transport/state.h"

struct virtio_queue {
	struct vas_virtio_queue setup;
	struct transport_event doorbell;
	bool is_enabled;
	bool is_running;
	bool is_paused; /* it runs again with virtio_resume() */
};

struct virtio;

/* What is different in the two. */
struct virtio_transport_ops {
	/* The eventfd by which the server interrupts for this queue, or -1. */
	int (*call_fd)(struct virtio *virtio, uint32_t queue);
	/* Interrupt as the server does by it, whatever others have done to that eventfd. */
	void (*call)(struct virtio *virtio, uint32_t queue);
	/* Where the guest rings this queue's doorbell. False: nowhere, at present. */
	bool (*doorbell)(struct virtio *virtio, uint32_t queue, struct vas_event *event);
	/* Interrupt: something was told. From any thread, without the lock. */
	void (*interrupt)(struct virtio *virtio);
};

struct virtio {
	const struct virtio_transport_ops *ops;
	const struct transport *transport;
	struct vas_virtio_server *server;
	uint8_t status;
	uint64_t features; /* of the driver's */
	bool is_started;
	bool has_come;	     /* from elsewhere, and starts with virtio_resume() */
	uint32_t generation; /* of the config space, beside the server's */
	struct virtio_queue *queues;
	uint32_t device_select, driver_select, queue_select; /* registers */
	uint32_t told; /* atomic: VAS_VIRTIO_NEEDS_RESET since the last reset */
};

/*
 * The queues' doorbells have the ids from first_event on; `name` and their index are their names.
 * -EINVAL: the server makes no sense, and vas_error() says why; or another -errno.
 */
int virtio_init(struct virtio *virtio, struct vas_virtio_server *server, uint32_t first_event,
		const char *name);
/* Reset it, and leave the server. */
void virtio_clean(struct virtio *virtio);

uint8_t virtio_status(const struct virtio *virtio);
void virtio_set_status(struct virtio *virtio, uint8_t status);

/* 32 bits of the features, by the select registers. */
uint32_t virtio_device_features(const struct virtio *virtio);
uint32_t virtio_driver_features(const struct virtio *virtio);
void virtio_set_driver_features(struct virtio *virtio, uint32_t bits);

/* The queue that is selected; NULL: there is none. */
struct virtio_queue *virtio_selected(struct virtio *virtio);

/* The setup of a queue that may be changed now, or NULL. */
struct vas_virtio_queue *virtio_queue_setup(struct virtio *virtio);
void virtio_queue_enable(struct virtio *virtio, struct virtio_queue *queue);
void virtio_queue_disable(struct virtio *virtio, struct virtio_queue *queue);
/* The same, as far as the driver has accepted VIRTIO_F_RING_RESET. */
void virtio_queue_reset(struct virtio *virtio, struct virtio_queue *queue);

/* Its interrupt is another one from now on. */
void virtio_queue_restart(struct virtio *virtio, struct virtio_queue *queue);

/* Doorbells are elsewhere from now on, or nowhere. */
void virtio_place_doorbells(struct virtio *virtio);

/* A write to a doorbell that KVM has left to us. */
void virtio_ring(struct virtio *virtio, uint32_t queue);

/* ---- elsewhere ---------------------------------------------------------------------------- */

/* Its queues stand still from here on, until they go on where they stand. */
void virtio_pause(struct virtio *virtio);
void virtio_resume(struct virtio *virtio);

/* The registers of one that is paused. */
void virtio_save(struct virtio *virtio, struct state_writer *to);

/*
 * Into one that no driver has seen, which is paused then. 0 or, with vas_error(): -EPROTO: they
 * make no sense; -EINVAL: they are another device's; -EOPNOTSUPP: the server lacks a feature. After
 * an error it is to be reset.
 */
int virtio_load(struct virtio *virtio, struct state_reader *from);

/* Whether a driver may have brought about what is in the registers. */
bool virtio_is_sound(const struct virtio *virtio);
/* Whether the server goes along with the features. */
bool virtio_accepts(struct virtio *virtio);

/* ---- the config space --------------------------------------------------------------------- */

void virtio_config_read(struct virtio *virtio, uint64_t offset, void *to, uint32_t len);
void virtio_config_write(struct virtio *virtio, uint64_t offset, const void *from, uint32_t len);
uint32_t virtio_config_generation(struct virtio *virtio);

/* 32 bits of a 64-bit register. */
static inline void set_half(uint64_t *value, unsigned int half, uint32_t bits)
{
	*value = (*value & 0xffffffffull << (half ? 0 : 32)) | (uint64_t)bits << (half ? 32 : 0);
}

#endif
