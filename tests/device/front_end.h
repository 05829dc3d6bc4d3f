/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The other side of vhost-user: a VMM's front end and a guest's driver in one, as small as both can
 * be, for tests and benches. Its memory is one memfd; rings are split, at its beginning.
 *
 *	gpa 0: RING_SPACE bytes for each ring; then, from the data's gpa on, whatever its user wants
 */
#ifndef TESTS_DEVICE_FRONT_END_H
#define TESTS_DEVICE_FRONT_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/virtqueue/packed.h"
#include "core/virtqueue/split.h"
#include "device/vhost_user/message.h"

#define FRONT_MAX_RINGS	 4u
#define FRONT_RING_SPACE 65536ull
#define FRONT_RING_SIZE	 256u
#define FRONT_DATA	 (FRONT_MAX_RINGS * FRONT_RING_SPACE) /* gpa */
#define FRONT_USER	 0x7f0000000000ull		      /* the user address of gpa 0 */
#define FRONT_IOVA	 0xfe000000ull			      /* of gpa 0, if it likes */

struct front_ring {
	struct vas_virtq_desc *desc;
	struct vas_virtq_avail *avail;
	struct vas_virtq_used *used;
	uint16_t next_avail, next_used; /* next_avail: not published yet */
	uint16_t kicked;		/* published at the last kick */
	int kick_fd, call_fd;
};

struct front_end {
	int sock;
	int memory_fd;
	uint8_t *ram;
	uint64_t ram_size;
	uint64_t features;
	bool is_packed;		 /* rings are packed: set it before features are negotiated */
	bool has_iommu;		 /* rings are at FRONT_IOVA: set it before as well */
	int inflight_fd;	 /* or -1 */
	uint16_t inflight_descs; /* room to ask for. 0: what the rings have */
	struct vhost_user_inflight inflight;
	struct front_ring rings[FRONT_MAX_RINGS];
};

/* All return 0 or -errno; -EPROTO: the answer is none. */

/* Memory, and no connection yet. */
int front_end_init(struct front_end *front, uint64_t ram_size);
int front_end_init_at(struct front_end *front, int fd, uint64_t ram_size); /* takes fd */
void front_end_clean(struct front_end *front);

int front_end_connect(struct front_end *front, const char *path);

/* Send anything, and receive an answer with its fd, or -1. */
int front_end_send(struct front_end *front, uint32_t request, uint32_t flags, const void *payload,
		   uint32_t size, const int *fds, uint32_t nr_fds);
int front_end_receive(struct front_end *front, struct vhost_user_message *message);
int front_end_ask(struct front_end *front, uint32_t request, uint64_t *answer);

/* Features and memory: `drop` are features that are offered, and not to be used. */
int front_end_negotiate(struct front_end *front, uint64_t drop);
int front_end_send_memory(struct front_end *front);

/* The file of requests in flight: a new one, or the one that there is. */
int front_end_send_inflight(struct front_end *front, uint32_t nr_rings);

/* A ring at its beginning, or where it stands; and stopped: where it stands then. */
int front_end_start_ring(struct front_end *front, uint32_t index);
int front_end_stop_ring(struct front_end *front, uint32_t index, uint32_t *base);

/*
 * The driver. A request has three descriptors, from 3 * slot on: its header, data, and a status. It
 * is published at once; kick after the last one.
 */
void front_ring_post(struct front_ring *ring, uint16_t slot, uint64_t header_gpa, uint64_t data_gpa,
		     uint32_t data_len, int data_is_written, uint64_t status_gpa);
void front_ring_kick(struct front_ring *ring);

/* The slot of an answered request, or -1: none was answered. */
int front_ring_take(struct front_ring *ring);

#endif
