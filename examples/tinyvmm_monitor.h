/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A socket for whoever runs the VMM: one line each connection, answered by "done", or by "error: "
 * and why.
 *
 *	unplug NAME [SECONDS]	ask the guest for a device, and take it away; it has 10 seconds,
 *				unless that says otherwise. NAME: see devices_create()
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
