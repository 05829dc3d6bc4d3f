/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A machine leaves for another process, or comes from there, over a Unix socket. */
#ifndef TINYVMM_MIGRATE_H
#define TINYVMM_MIGRATE_H

#include "tinyvmm_machine.h"

struct mover {
	struct machine *machine;
	/* The VMM's own devices let go of guest memory (1); or take it up again (0). */
	void (*quiet)(struct machine *machine, int on);
	/* 0; or -errno, with vas_error(): the guest has what does not move. */
	int (*check)(struct machine *machine);

	int listen_fd;
	int fd; /* who has connected; -1: nobody */
	int cancel;
	int moved;
	pthread_t thread;
};

/*
 * Whoever connects there is sent the machine. If that fails, it runs on, and the next may connect;
 * if not, the machine is stopped with status 0. The first three fields are the caller's to fill in.
 */
int mover_start(struct mover *mover, const char *path);
/* Once the machine has stopped. */
void mover_stop(struct mover *mover);

/* The machine of the mover at path, with its vas, owned: ready for machine_start(). */
int machine_receive(struct machine *machine, const char *path, uint32_t kvm_flags);

#endif
