/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A machine leaves for another process, or comes from there, over a Unix socket. */
#ifndef TINYVMM_MIGRATE_H
#define TINYVMM_MIGRATE_H

#include "tinyvmm_acpi.h"
#include "tinyvmm_devices.h"
#include "tinyvmm_machine.h"
#include "tinyvmm_serial.h"

struct mover {
	struct machine *machine;
	struct devices *devices;
	struct serial *serial;
	const struct acpi_state *acpi;
	/* The VMM's own devices let go of guest memory (1); or take it up again (0). */
	void (*quiet)(struct machine *machine, int on);

	int listen_fd;
	int fd; /* who has connected; -1: nobody */
	int cancel;
	int moved;
	pthread_t thread;
};

/*
 * Whoever connects there is sent the machine. If that fails, it runs on, and the next may connect;
 * if not, the machine is stopped with status 0. The first five fields are the caller's to fill in.
 */
int mover_start(struct mover *mover, const char *path);
/* Once the machine has stopped. */
void mover_stop(struct mover *mover);

struct arrival {
	struct machine *machine;
	struct devices *devices;
	uint32_t kvm_flags;
	/* Put the devices into their slots, as they are in the mover's machine; and undo that. */
	int (*plug)(struct machine *machine);
	void (*unplug)(void);

	struct serial_state serial; /* out: to be loaded when the port is there */
	struct acpi_state acpi;	    /* out */
};

/*
 * The machine of the mover at path, with its vas, owned, and its devices, paused: ready for
 * devices_resume() and machine_start(). If anything of it cannot be here, it stays there.
 */
int machine_receive(struct arrival *arrival, const char *path);

#endif
