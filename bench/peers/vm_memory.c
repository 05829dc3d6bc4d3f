// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * rust-vmm's vm-memory crate. Its loops are in Rust, in a shared object next to this program, which
 * the build makes where cargo and the crate are at hand.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../peer.h"

static struct {
	void *(*open)(uint8_t *flat, const struct guest_region *regions, size_t nr);
	void (*close)(void *mem);
	uint64_t (*chase)(void *mem, uint64_t gpa, uint64_t nr);
	uint64_t (*gather)(void *mem, const struct peer_gpas *at, uint64_t nr);
	uint64_t (*read)(void *mem, const struct peer_copy *copy, uint64_t nr);
	uint64_t (*write)(void *mem, const struct peer_copy *copy, uint64_t nr);
} rust;

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

static const char *vm_memory_missing(void)
{
	void *object;

	if (rust.open)
		return NULL;
	object = load_object();
	if (!object)
		return "built without the vm-memory crate (librust-vm-memory-dev, cargo)";
	rust.close = dlsym(object, "vm_memory_close");
	rust.chase = dlsym(object, "vm_memory_chase");
	rust.gather = dlsym(object, "vm_memory_gather");
	rust.read = dlsym(object, "vm_memory_read");
	rust.write = dlsym(object, "vm_memory_write");
	rust.open = dlsym(object, "vm_memory_open");
	if (!rust.open || !rust.close || !rust.chase || !rust.gather || !rust.read || !rust.write)
		return "vm_memory_peer.so lacks a symbol";
	return NULL;
}

static int vm_memory_open(const struct guest *guest, void **ctx)
{
	*ctx = rust.open(guest->flat, guest->regions, guest->nr_regions);
	return *ctx ? 0 : -EINVAL;
}

static void vm_memory_close(void *ctx)
{
	rust.close(ctx);
}

static uint64_t vm_memory_chase(void *ctx, uint64_t gpa, uint64_t nr)
{
	return rust.chase(ctx, gpa, nr);
}

static uint64_t vm_memory_gather(void *ctx, const struct peer_gpas *at, uint64_t nr)
{
	return rust.gather(ctx, at, nr);
}

static uint64_t vm_memory_read(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	return rust.read(ctx, copy, nr);
}

static uint64_t vm_memory_write(void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	return rust.write(ctx, copy, nr);
}

const struct peer peer_vm_memory = {
	.name = "vm-memory",
	.missing = vm_memory_missing,
	.open = vm_memory_open,
	.close = vm_memory_close,
	.chase = vm_memory_chase,
	.gather = vm_memory_gather,
	.read = vm_memory_read,
	.write = vm_memory_write,
};
