/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * As much of a vhost-user back end as an unmodified QEMU needs to have a virtio device served by
 * a module: it answers the control messages and hands rings and eventfds on to it. No request
 * passes through it.
 */
#ifndef TESTS_KERNEL_VHOST_USER_H
#define TESTS_KERNEL_VHOST_USER_H

#include <stdint.h>

#include "include/uapi/linux/vas_queue.h"

#define VHOST_USER_QUEUES  2
#define VHOST_USER_REGIONS 8

/* A part of guest memory, as QEMU knows it: where it is in the guest, and in QEMU. */
struct vhost_user_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t hva;
	uint64_t offset;
};

struct vhost_user_queue {
	struct vas_queue_start config;
	int is_enabled; /* before or after the rest of it is told */
	int is_running;
	uint64_t nr_requests; /* when it was stopped last */
};

struct vhost_user;

/* One of ours, as QEMU needs it. */
struct vhost_user_device {
	const char *path;
	uint64_t features;		      /* offered */
	unsigned long start, stop;	      /* its ioctls */
	int (*open)(struct vhost_user *user); /* .device, for a driver that is ready; 0 or -errno */
	void (*config)(void *to);	      /* its configuration space; NULL: QEMU has it */
};

struct vhost_user {
	const struct vhost_user_device *type;
	int sock;
	int vas_fd;
	int file;   /* the disk */
	int device; /* its fd, or -1 before the driver is ready */
	uint64_t features;
	struct vhost_user_region regions[VHOST_USER_REGIONS];
	uint32_t nr_regions;
	struct vhost_user_queue queues[VHOST_USER_QUEUES];
};

/* Serve one connection to its end: 0, or -errno. */
int vhost_user_serve(struct vhost_user *user);

#endif
