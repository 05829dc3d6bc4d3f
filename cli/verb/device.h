/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The kinds of device that vas device serves: each takes its options, and makes one. */
#ifndef CLI_VERB_DEVICE_H
#define CLI_VERB_DEVICE_H

#include <stdbool.h>

#include "cli/ui/verb.h"
#include "device/device.h"

#define DEVICE_QUEUE_SIZE 1024

enum device_option {
	DEVICE_PATH = 2000,
	DEVICE_MEMORY,
	DEVICE_NULL,
	DEVICE_VHOST_USER,
	DEVICE_CONNECT,
	DEVICE_FD,
	DEVICE_GUEST,
	DEVICE_TAKE_OVER,
	DEVICE_WAIT,
	DEVICE_SERIAL,
	DEVICE_ENGINE,
	DEVICE_QUEUES,
	DEVICE_POLL,
	DEVICE_TAP,
	DEVICE_PACKET,
	DEVICE_STREAM,
	DEVICE_LOOPBACK,
	DEVICE_MODULE,
	DEVICE_MAC,
	DEVICE_MTU,
	DEVICE_COUNTERS,
	DEVICE_CID,
	DEVICE_UDS,
	DEVICE_TO,
	DEVICE_PTY,
	DEVICE_LISTEN,
	DEVICE_CAPABILITIES,
};

/* take: this kind has no such option. */
#define DEVICE_OPTION_UNKNOWN (-1)

struct device_kind {
	const char *name;
	const char *capabilities; /* as --print-capabilities tells them: JSON */
	/* An option, whose argument is optarg: an exit code, or DEVICE_OPTION_UNKNOWN. */
	int (*take)(int c);
	/* All were taken: make the device. An exit code. */
	int (*open)(struct vas_device **device);
	void (*close)(void);
	/* Print what it has counted. NULL: it counts nothing. */
	void (*print)(void);
};

extern const struct device_kind device_blk, device_console, device_net, device_rng, device_vsock;

/* This program was started as vas-vhost-user-KIND: it is a back end as VMMs start one. */
int device_is_backend(const char *program);
int device_run_backend(int argc, char **argv);

/* The number in optarg, from least to most. An exit code. */
int device_take_number(const char *option, int least, int most, uint32_t *number);

#endif
