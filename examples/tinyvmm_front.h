/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Virtio devices that other programs serve, by vhost-user: this is their front end. */
#ifndef TINYVMM_FRONT_H
#define TINYVMM_FRONT_H

#include <pthread.h>

#include <vas/vhost_user.h>

struct front_device {
	struct vas_vhost_user *front;
	char path[108];
	int stop_fd;
	pthread_t thread;
};

/* virtio's number of "vhost-user-KIND", or 0: there is none such. */
unsigned int front_kind(const char *word);

/*
 * Have the back end that listens at path serve it, and whoever listens there later if that one
 * goes. name: of a file system, its tag. 0 or -errno, with vas_error().
 */
int front_device_open(struct front_device *device, struct vas *vas, const char *kind,
		      const char *path, const char *name);

/* Once it has been removed from its bus. */
void front_device_close(struct front_device *device);

#endif
