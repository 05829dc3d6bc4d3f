/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A way to reach guest memory: vas, another project's code, or the limit. Each brings its own
 * loops, compiled together with its own translation, so that a call through this table is paid once
 * a run and not once an access.
 */
#ifndef VAS_BENCH_PEER_H
#define VAS_BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "guest.h"
#include "harness.h"

/* What a loop returns when the peer refused an address. */
#define PEER_REFUSED UINT64_MAX

/*
 * Addresses to visit in turn, over and over, from the one with index start on; their number is mask
 * + 1, a power of two.
 */
struct peer_gpas {
	const uint64_t *gpas;
	uint64_t mask;
	uint64_t start;
};

/* Copies of len bytes between the buffer and guest memory. */
struct peer_copy {
	struct peer_gpas at;
	void *buf;
	size_t len;
};

struct peer {
	const char *name;
	/* What it cannot do is NULL. */
	/* Why it cannot be used here, or NULL; open() is called only if it can. */
	const char *(*missing)(void);
	int (*open)(const struct guest *guest, void **ctx);
	void (*close)(void *ctx);
	/* Translates gpa, loads the next gpa from there, and so on. Returns the last one. */
	uint64_t (*chase)(void *ctx, uint64_t gpa, uint64_t nr);
	/* Translates addresses that are known beforehand; the sum of the words there. */
	uint64_t (*gather)(void *ctx, const struct peer_gpas *at, uint64_t nr);
	/* Copies out of and into guest memory, in the sizes that it can; 0, or PEER_REFUSED. */
	bool (*can_copy)(size_t len);
	uint64_t (*read)(void *ctx, const struct peer_copy *copy, uint64_t nr);
	uint64_t (*write)(void *ctx, const struct peer_copy *copy, uint64_t nr);
};

extern const struct peer peer_limit;
extern const struct peer peer_vas;
extern const struct peer peer_vas_load;
extern const struct peer peer_vas_cached;
extern const struct peer peer_vas_const;
extern const struct peer peer_vas_section;
extern const struct peer peer_dpdk;
extern const struct peer peer_vas_rust;
extern const struct peer peer_vas_rust_each;
extern const struct peer peer_vm_memory;
extern const struct peer peer_vm_memory_obj;

#define PEER_MAX 11

enum peer_use { PEER_TRANSLATES, PEER_COPIES };

/* A peer that has opened a guest. */
struct peer_binding {
	const struct peer *peer;
	void *ctx;
};

/*
 * Opens a guest with every peer that can be used for this, the limit first, and says which are
 * missing. Returns their number, or -errno.
 */
int peers_open(const struct bench_session *session, const struct guest *guest, enum peer_use use,
	       struct peer_binding bindings[PEER_MAX]);
void peers_close(struct peer_binding *bindings, int nr);

#endif
