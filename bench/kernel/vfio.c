// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vas/vas.h>
#include <vas/vfio.h>

#include "ticks.h"

#define MIB	 (1ull << 20)
#define GIB	 (1ull << 30)
#define LIMIT	 (8 * GIB)
#define PLACE	 (4 * GIB)
#define NR_TRIES 2 /* of which the best counts */

struct setup {
	enum vfio_kind kind;
	uint64_t size;
	struct vas_vfio_device device;
	struct vas *vas;
	struct vas_vfio *vfio;
	int memory; /* of VFIO_BARE */
	void *map;
};

/* ---- a device ------------------------------------------------------------------------------ */

static int attribute_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return len < 0 ? -ENODEV : 0;
}

static int give_to_vfio(const char *address)
{
	char path[128];
	int err;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
	if (!access(path, F_OK))
		return 0;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", address);
	err = attribute_write(path, "vfio-pci");
	return err ?: attribute_write("/sys/bus/pci/drivers_probe", address);
}

static int open_device(struct setup *setup)
{
	const char *address = getenv("VAS_BENCH_DEVICE");
	int err;

	if (!address)
		return -ENODEV;
	err = give_to_vfio(address) ?: vas_vfio_device_open(address, -1, &setup->device);
	return err == -ENODEV ? -ENXIO : err;
}

/* ---- who has it ---------------------------------------------------------------------------- */

static int open_vas(struct setup *setup, uint64_t ram_size)
{
	const struct vas_options options = { .limit = LIMIT, .name = "bench" };
	const struct vas_region ram = { .size = ram_size, .name = "ram" };
	const struct vas_vfio_options vfio = { .device_fds = &setup->device.device_fd,
					       .nr_device_fds = 1,
					       .device_ids = &setup->device.device_id };
	int err;

	err = vas_create(&options, &setup->vas);
	if (!err)
		err = vas_region_add(setup->vas, &ram, NULL);
	if (!err)
		err = vas_vfio_attach(setup->vas, setup->device.container_fd, &vfio, &setup->vfio);
	return err;
}

static int open_bare(struct setup *setup)
{
	if (setup->device.group_fd < 0)
		return -ENODEV; /* an iommufd's */
	setup->memory = memfd_create("bench", MFD_CLOEXEC);
	if (setup->memory < 0 || ftruncate(setup->memory, (off_t)setup->size))
		return -errno;
	setup->map = mmap(NULL, setup->size, PROT_READ | PROT_WRITE, MAP_SHARED, setup->memory, 0);
	return setup->map == MAP_FAILED ? -errno : 0;
}

static void setup_clean(struct setup *setup)
{
	vas_vfio_detach(setup->vfio);
	if (setup->vas)
		vas_destroy(setup->vas);
	if (setup->map && setup->map != MAP_FAILED)
		munmap(setup->map, setup->size);
	if (setup->memory >= 0)
		close(setup->memory);
	if (setup->device.container_fd >= 0)
		vas_vfio_device_close(&setup->device);
}

/* ---- memory comes and goes ----------------------------------------------------------------- */

static int change_vas(const struct setup *setup)
{
	const struct vas_region region = {
		.gpa = PLACE, .size = setup->size, .offset = PLACE, .name = "more"
	};
	uint64_t id;
	int err = vas_region_add(setup->vas, &region, &id);

	return err ?: vas_region_remove(setup->vas, id);
}

static int change_bare(const struct setup *setup)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)setup->map,
		.iova = PLACE,
		.size = setup->size,
	};
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap),
						    .iova = PLACE,
						    .size = setup->size };
	int fd = setup->device.container_fd;

	if (ioctl(fd, VFIO_IOMMU_MAP_DMA, &map) || ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &unmap) ||
	    fallocate(setup->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)setup->size))
		return -errno;
	return 0;
}

static int best(const struct setup *setup, bool ticks, double *least)
{
	int err = 0;

	*least = 1e18;
	for (unsigned int i = 0; i < NR_TRIES && !err; i++) {
		double cost = ticks_now(ticks);

		err = setup->kind == VFIO_VAS ? change_vas(setup) : change_bare(setup);
		cost = ticks_now(ticks) - cost;
		*least = cost < *least ? cost : *least;
	}
	return err;
}

int vfio_measure(enum vfio_kind kind, uint64_t mib, uint64_t ram_mib, bool ticks, double *rounds,
		 unsigned int nr_rounds)
{
	struct setup setup = { .kind = kind, .size = mib * MIB, .memory = -1 };
	int err;

	setup.device.container_fd = -1;
	err = open_device(&setup);
	if (!err)
		err = kind == VFIO_VAS ? open_vas(&setup, ram_mib * MIB) : open_bare(&setup);
	for (unsigned int i = 0; i < nr_rounds && !err; i++)
		err = best(&setup, ticks, &rounds[i]);
	if (err && err != -ENODEV)
		fprintf(stderr, "vfio: %s\n", vas_error());
	setup_clean(&setup);
	return err;
}
