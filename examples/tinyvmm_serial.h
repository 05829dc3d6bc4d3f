/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A serial port, a 16550, on stdout and stdin. */
#ifndef TINYVMM_SERIAL_H
#define TINYVMM_SERIAL_H

#include <pthread.h>

#include "tinyvmm_machine.h"

#define SERIAL_PORT  0x3f8
#define SERIAL_PORTS 8
#define SERIAL_GSI   4

/* What a guest has made of it. */
struct serial_state {
	uint8_t ier, lcr, mcr, scratch, divisor[2];
	uint8_t has_fifo;
	uint8_t is_sent; /* to be told */
	uint8_t nr_received;
	uint8_t received[64];
};

struct serial {
	struct vas *vas;
	uint32_t irq;	      /* an event of the vas; 0: nobody is interrupted */
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t has_room;
	struct serial_state state;
};

void serial_init(struct serial *serial, struct vas *vas, uint32_t irq);
/* For a guest that goes elsewhere, with what it has not received yet. */
void serial_save(struct serial *serial, struct serial_state *state);
/* The guest is interrupted, if it waits for anything that is so. Any bytes will do. */
void serial_load(struct serial *serial, const struct serial_state *state);

void serial_io(struct serial *serial, const struct machine_io *io);

/* What is read from stdin, in a thread of its own, the guest receives. 0 or -errno. */
int serial_listen(struct serial *serial);

#endif
