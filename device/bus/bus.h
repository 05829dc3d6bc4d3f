/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A device on the virtual bus, <vas/device.h>, served with nothing but the guest's vas: what its
 * owner demands, one thread follows; each queue that runs has a thread of its own.
 *
 * Rings are mapped by pins, requests are served in sections, and what is written is marked: the
 * device follows the layout, freezes, and its guest can be saved and moved. What is in flight lies
 * in the vas, so a successor does again what this process had taken when it died.
 */
#ifndef DEVICE_BUS_BUS_H
#define DEVICE_BUS_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"

struct bus_options {
	const char *path; /* of the owner's socket */
	const char *name; /* of the device, there */
	bool waits;	  /* until a guest is served at `path`, and has the device */
	bool takes_over;  /* who serves it is asked to leave */
	uint64_t poll_ns; /* how long an idle queue is looked at before its thread sleeps */
	int look_fd;	  /* an eventfd or signalfd: look at what the device works on; or -1 */
};

/*
 * Serve until stop_fd is readable: -ECANCELED; until the device was removed: -ENODEV; or until
 * another process asks for it: -ESHUTDOWN. Another -errno, and vas_error() says why: nobody serves
 * a vas there, or does not take the offer. An owner that goes, or lets the connection go, is waited
 * for; queues go on meanwhile.
 */
int bus_serve(struct vas_device *device, int stop_fd, const struct bus_options *options);

#endif
