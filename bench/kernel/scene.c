// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "scene.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../bare_kvm.h"

#define REGION_SIZE (1ull << 20)

static int add_slots(const struct scene *scene)
{
	const struct guest *guest = &scene->guest;
	int err = 0;

	for (unsigned int i = 0; i < guest->nr_regions && !err; i++) {
		const struct guest_region *region = &guest->regions[i];

		err = bare_slot_add(scene->vm_fd, i, region->gpa, region->size,
				    guest->flat + region->gpa);
	}
	return err;
}

static int open_vm(struct scene *scene)
{
	int err;

	scene->vm_fd = bare_vm_create();
	if (scene->vm_fd < 0)
		return scene->vm_fd == -ENOENT ? 0 : scene->vm_fd;
	scene->vcpu_fd = ioctl(scene->vm_fd, KVM_CREATE_VCPU, 0ul);
	if (scene->vcpu_fd < 0) {
		err = -errno;
		goto err_close_vm;
	}
	err = add_slots(scene);
	if (err)
		goto err_close_vcpu;
	return 0;
err_close_vcpu:
	close(scene->vcpu_fd);
err_close_vm:
	close(scene->vm_fd);
	return err;
}

int scene_open(struct scene *scene, unsigned int nr_regions)
{
	int err;

	scene->vm_fd = scene->vcpu_fd = -1;
	err = guest_create(&scene->guest, nr_regions, REGION_SIZE);
	if (err)
		return err;
	err = open_vm(scene);
	if (err)
		guest_destroy(&scene->guest);
	return err;
}

void scene_close(struct scene *scene)
{
	if (scene->vm_fd >= 0) {
		close(scene->vcpu_fd);
		close(scene->vm_fd);
	}
	guest_destroy(&scene->guest);
}

uint64_t scene_gpa(const struct scene *scene)
{
	return scene->guest.regions[scene->guest.nr_regions / 2].gpa;
}
