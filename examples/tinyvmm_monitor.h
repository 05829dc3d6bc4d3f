/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A socket for whoever runs the VMM: one line each connection, answered by "done", or by "error: "
 * and why.
 *
 *	plug SPEC [SECONDS]	a device for the guest that runs, behind one of its root ports;
 *				SPEC: see devices_create(). Who is to serve it has 10 seconds,
 *				unless that says otherwise. Answered by "done: slot N"
 *	unplug NAME [SECONDS]	ask the guest for a device, and take it away; it has as long.
 *				NAME: likewise
 *	remove NAME		take a device away at once, as if it was pulled out
 */
#ifndef TINYVMM_MONITOR_H
#define TINYVMM_MONITOR_H

#include "tinyvmm_devices.h"

struct monitor {
	struct devices *devices;
	int listen_fd;
	pthread_t thread;
};

/* 0 or -errno. */
int monitor_start(struct monitor *monitor, struct devices *devices, const char *path);
/* Once the machine has stopped: what is asked of the guest is given up. */
void monitor_stop(struct monitor *monitor);

#endif
