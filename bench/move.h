/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Ways to bring a guest's memory to another process over Unix sockets. */
#ifndef VAS_BENCH_MOVE_H
#define VAS_BENCH_MOVE_H

#include <stdint.h>
#include <vas/vas.h>

enum move_way {
	MOVE_PLAIN,
	MOVE_VAS,
	/* The destination's memory is new, and making it is in the time that is taken. */
	MOVE_PLAIN_FILE,   /* by way of a buffer, with pwrite() */
	MOVE_PLAIN_MAPPED, /* touched as it comes */
	MOVE_VAS_FRESH,
	MOVE_VAS_POPULATED, /* made before the first page is sent */
	MOVE_VAS_THP,
	MOVE_VAS_HUGETLB,
	MOVE_QEMU,
};

struct move_times {
	double wall_ns;
	double sender_ns; /* of processor time, in its process */
	double receiver_ns;
};

enum move_content { MOVE_RANDOM, MOVE_ZEROS, MOVE_UNTOUCHED };

/* A vas with one region of that size, mapped by its handle if there is anything to map. */
int move_source(uint64_t size, enum move_content content, struct vas **vas);

/* NULL, or why it cannot be done here. */
const char *move_missing(enum move_way way, uint64_t size);

/* Move it once, over so many channels. */
int move_once(struct vas *vas, uint64_t size, enum move_way way, uint32_t nr_channels,
	      struct move_times *times);

/* Read it once, with so many threads. */
int move_read(struct vas *vas, uint64_t size, uint32_t nr_threads, struct move_times *times);

/* Hand it to another process and get it back: the mean of the two. */
int move_hand_over(struct vas **vas, struct move_times *times);

double move_now_ns(void);

#endif
