// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "transport/pci/vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vas/consumer.h>

/* ---- BARs --------------------------------------------------------------------------------- */

static bool is_table(const struct vfio_pci *vfio, uint32_t bar, uint64_t offset)
{
	return vfio->msix.nr && bar == vfio->table_bar && offset >= vfio->table_offset &&
	       offset - vfio->table_offset < vfio->msix.nr * MSIX_ENTRY_SIZE;
}

static bool is_pba(const struct vfio_pci *vfio, uint32_t bar, uint64_t offset)
{
	return vfio->msix.nr && bar == vfio->pba_bar && offset >= vfio->pba_offset &&
	       offset - vfio->pba_offset < (vfio->msix.nr + 63) / 64 * 8;
}

static void read_bar(struct pci_function *function, uint32_t bar, uint64_t offset, void *to,
		     uint32_t len)
{
	struct vfio_pci *vfio = (struct vfio_pci *)function;

	if (is_table(vfio, bar, offset))
		msix_table_read(&vfio->msix, offset - vfio->table_offset, to, len);
	else if (is_pba(vfio, bar, offset))
		msix_pba_read(&vfio->msix, offset - vfio->pba_offset, to, len);
	else if (pread(vfio->fd, to, len, (off_t)(vfio->bars[bar].offset + offset)) != len)
		memset(to, 0xff, len);
}

static void write_bar(struct pci_function *function, uint32_t bar, uint64_t offset,
		      const void *from, uint32_t len)
{
	struct vfio_pci *vfio = (struct vfio_pci *)function;

	if (is_table(vfio, bar, offset))
		msix_table_write(&vfio->msix, offset - vfio->table_offset, from, len);
	else if (!is_pba(vfio, bar, offset))
		(void)!pwrite(vfio->fd, from, len, (off_t)(vfio->bars[bar].offset + offset));
}

/* ---- beginning and end -------------------------------------------------------------------- */

static int find_region(const struct vfio_pci *vfio, uint32_t index, struct vfio_region *region)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(vfio->fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		return vas_error_set(-errno, "%s: VFIO does not say where its BARs are: %s",
				     vfio->name, strerror(errno));
	*region = (struct vfio_region){ info.offset, info.size };
	return 0;
}

/* As it is after power-on, if it can be reset alone. */
static int reset(const struct vfio_pci *vfio)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	if (ioctl(vfio->fd, VFIO_DEVICE_GET_INFO, &info) || !(info.flags & VFIO_DEVICE_FLAGS_PCI))
		return vas_error_set(-EINVAL, "%s is no PCI device of VFIO's", vfio->name);
	if (info.flags & VFIO_DEVICE_FLAGS_RESET && ioctl(vfio->fd, VFIO_DEVICE_RESET))
		return vas_error_set(-errno, "%s cannot be reset: %s", vfio->name, strerror(errno));
	return 0;
}

static int find_regions(struct vfio_pci *vfio)
{
	int err = find_region(vfio, VFIO_PCI_CONFIG_REGION_INDEX, &vfio->config);
	uint32_t i;

	for (i = 0; i < PCI_NR_BARS && !err; i++)
		err = find_region(vfio, VFIO_PCI_BAR0_REGION_INDEX + i, &vfio->bars[i]);
	return err;
}

static void destroy(struct pci_function *function)
{
	struct vfio_pci *vfio = (struct vfio_pci *)function;
	const struct transport *transport = &function->pci->transport;

	vfio_irq_stop(vfio);
	reset(vfio);
	if (vfio->msix.nr)
		msix_clean(&vfio->msix);
	if (vfio->msi.event.id)
		transport_event_close(transport, &vfio->msi);
	if (vfio->line.event.id)
		transport_event_close(transport, &vfio->line);
	close(vfio->fd);
	pthread_mutex_destroy(&function->lock);
	free(vfio);
}

static const struct pci_function_ops ops = {
	.before_read = vfio_config_before_read,
	.after_write = vfio_config_after_write,
	.read = read_bar,
	.write = write_bar,
	.destroy = destroy,
};

static int init(struct vfio_pci *vfio, const struct vas_pci_vfio_options *options)
{
	int err = reset(vfio);

	if (!err)
		err = find_regions(vfio);
	if (!err)
		err = vfio_config_init(vfio, options->gsi);
	if (!err)
		vfio_irq_update(vfio);
	return err;
}

static int create(struct vas_pci *pci, uint32_t place, const struct vas_pci_vfio_options *options)
{
	struct vfio_pci *vfio = calloc(1, sizeof(*vfio));
	int err;

	if (!vfio)
		return vas_error_set(-ENOMEM, "no memory for a device");
	pci_function_init(&vfio->function, 0, 0, 0);
	vfio->function.ops = &ops;
	pci_bus_set_place(pci, &vfio->function, place);
	snprintf(vfio->name, sizeof(vfio->name), "%s", options->name ? options->name : "vfio");
	vfio->function.name = vfio->name;
	vfio->fd = fcntl(options->device_fd, F_DUPFD_CLOEXEC, 0);
	if (vfio->fd < 0) {
		free(vfio);
		return vas_error_set(-EBADF, "there is no fd of a VFIO device");
	}
	err = init(vfio, options);
	if (err)
		destroy(&vfio->function);
	else
		pci_bus_show(pci, &vfio->function);
	return err;
}

int vas_pci_add_vfio(struct vas_pci *pci, uint32_t slot, const struct vas_pci_vfio_options *options)
{
	int place = pci_bus_take(pci, slot), err;

	if (place < 0)
		return place;
	if (place >= (int)PCI_BEHIND)
		err = vas_error_set(-EOPNOTSUPP, "a physical device cannot be behind a root port");
	else
		err = create(pci, (uint32_t)place, options);
	if (!err)
		return place;
	pci_bus_give(pci, (uint32_t)place);
	return err;
}
