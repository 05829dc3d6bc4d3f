/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a peer does to the control area, each in a way that costs others most. */
#ifndef BENCH_HOSTILE_CONTENTS_H
#define BENCH_HOSTILE_CONTENTS_H

#include <pthread.h>

#include "lib/handle/handle.h"

#define LIMIT (1ull << 40)

struct scene {
	struct vas *owner;
	struct vas *peer; /* a binder that lives */
	uint64_t region;
	int locks_fd;
	pthread_t thread;
	bool runs, stop;
};

struct content {
	const char *name;
	void (*fill)(struct scene *s);
};

extern const struct content contents[];
extern const unsigned int nr_contents;

/* The end of what runs or is kept. */
void content_end(struct scene *s);

#endif
