/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest, and a VM with the same memory. */
#ifndef VAS_BENCH_KERNEL_SCENE_H
#define VAS_BENCH_KERNEL_SCENE_H

#include "../guest.h"

struct scene {
	struct guest guest;
	int vm_fd; /* -1: no KVM */
	int vcpu_fd;
};

/* Returns 0 or -errno. */
int scene_open(struct scene *scene, unsigned int nr_regions);
void scene_close(struct scene *scene);

/* The region that is used: the middle one. */
uint64_t scene_gpa(const struct scene *scene);

#endif
