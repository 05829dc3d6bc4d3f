// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Loops in Rust, over rust-vmm's vm-memory crate and over a vas by the same traits. They are in a
 * shared object next to this program, which the build makes where cargo and the crates are at hand.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../peer.h"

/* Those of one way to reach memory; `mem` is what its open has returned. */
struct rust_loops {
	void (*close)(void *mem);
	uint64_t (*chase)(void *mem, uint64_t gpa, uint64_t nr);
	uint64_t (*gather)(void *mem, const struct peer_gpas *at, uint64_t nr);
	uint64_t (*read)(void *mem, const struct peer_copy *copy, uint64_t nr);
	uint64_t (*write)(void *mem, const struct peer_copy *copy, uint64_t nr);
};

static struct {
	void *(*open)(uint8_t *flat, const struct guest_region *regions, size_t nr);
	void *(*open_vas)(int fd);
	struct rust_loops vm_memory, vm_memory_obj, vas, vas_each;
} rust;

struct rust_context {
	const struct rust_loops *loops;
	void *mem;
};

static void *load_object(void)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (len < 0)
		return NULL;
	path[len] = '\0';
	slash = strrchr(path, '/');
	if (!slash || snprintf(slash + 1, (size_t)(path + sizeof(path) - slash - 1), "%s",
			       "vm_memory_peer.so") < 0)
		return NULL;
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void *find(void *object, const char *prefix, const char *name)
{
	char symbol[64];

	snprintf(symbol, sizeof(symbol), "%s_%s", prefix, name);
	return dlsym(object, symbol);
}

static bool find_loops(void *object, const char *prefix, const char *closer,
		       struct rust_loops *loops)
{
	loops->close = find(object, closer, "close");
	loops->chase = find(object, prefix, "chase");
	loops->gather = find(object, prefix, "gather");
	loops->read = find(object, prefix, "read");
	loops->write = find(object, prefix, "write");
	return loops->close && loops->chase && loops->gather;
}

static const char *rust_missing(void)
{
	void *object;

	if (rust.open)
		return NULL;
	object = load_object();
	if (!object)
		return "built without the vm-memory crate (librust-vm-memory-dev, cargo)";
	rust.open_vas = dlsym(object, "vas_rust_open");
	if (!rust.open_vas || !find_loops(object, "vm_memory", "vm_memory", &rust.vm_memory) ||
	    !find_loops(object, "vm_memory_obj", "vm_memory", &rust.vm_memory_obj) ||
	    !find_loops(object, "vas_rust", "vas_rust", &rust.vas) ||
	    !find_loops(object, "vas_rust_each", "vas_rust", &rust.vas_each))
		return "vm_memory_peer.so lacks a symbol";
	rust.open = dlsym(object, "vm_memory_open");
	return rust.open ? NULL : "vm_memory_peer.so lacks a symbol";
}

static int make_context(const struct rust_loops *loops, void *mem, void **ctx)
{
	struct rust_context *rctx = mem ? malloc(sizeof(*rctx)) : NULL;

	if (!rctx)
		return -EINVAL;
	*rctx = (struct rust_context){ loops, mem };
	*ctx = rctx;
	return 0;
}

static int vm_memory_open(const struct guest *guest, void **ctx)
{
	return make_context(&rust.vm_memory,
			    rust.open(guest->flat, guest->regions, guest->nr_regions), ctx);
}

static int vm_memory_obj_open(const struct guest *guest, void **ctx)
{
	return make_context(&rust.vm_memory_obj,
			    rust.open(guest->flat, guest->regions, guest->nr_regions), ctx);
}

static int vas_rust_open(const struct guest *guest, void **ctx)
{
	return make_context(&rust.vas, rust.open_vas(vas_fd(guest->vas)), ctx);
}

static int vas_rust_each_open(const struct guest *guest, void **ctx)
{
	return make_context(&rust.vas_each, rust.open_vas(vas_fd(guest->vas)), ctx);
}

static void rust_close(void *ctx)
{
	struct rust_context *rctx = ctx;

	rctx->loops->close(rctx->mem);
	free(rctx);
}

static uint64_t rust_chase(void *ctx, uint64_t gpa, uint64_t nr)
{
	struct rust_context *rctx = ctx;

	return rctx->loops->chase(rctx->mem, gpa, nr);
}

static uint64_t rust_gather(void *ctx, const struct peer_gpas *at, uint64_t nr)
{
	struct rust_context *rctx = ctx;

	return rctx->loops->gather(rctx->mem, at, nr);
}

static uint64_t rust_read(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	struct rust_context *rctx = ctx;

	return rctx->loops->read(rctx->mem, copy, nr);
}

static uint64_t rust_write(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	struct rust_context *rctx = ctx;

	return rctx->loops->write(rctx->mem, copy, nr);
}

const struct peer peer_vm_memory = {
	.name = "vm-memory",
	.missing = rust_missing,
	.open = vm_memory_open,
	.close = rust_close,
	.chase = rust_chase,
	.gather = rust_gather,
	.read = rust_read,
	.write = rust_write,
};

const struct peer peer_vm_memory_obj = {
	.name = "vm-memory-obj",
	.missing = rust_missing,
	.open = vm_memory_obj_open,
	.close = rust_close,
	.chase = rust_chase,
	.gather = rust_gather,
};

const struct peer peer_vas_rust = {
	.name = "vas-rust",
	.missing = rust_missing,
	.open = vas_rust_open,
	.close = rust_close,
	.chase = rust_chase,
	.gather = rust_gather,
	.read = rust_read,
	.write = rust_write,
};

const struct peer peer_vas_rust_each = {
	.name = "vas-rust-each",
	.missing = rust_missing,
	.open = vas_rust_each_open,
	.close = rust_close,
	.chase = rust_chase,
	.gather = rust_gather,
};
