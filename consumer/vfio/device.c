// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Opening a PCI device that vfio-pci has: by a file of its own, which an iommufd takes, or by its
 * group, which a container takes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vas/vfio.h>

#include "consumer/vfio/container.h"
#include "consumer/vfio/iommufd_abi.h"

/* The last part of what a link of the device in sysfs points to: "" if there is none. */
static void link_name(const char *address, const char *link, char *name, size_t size)
{
	char path[96], target[256];
	const char *last;
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, link);
	len = readlink(path, target, sizeof(target) - 1);
	target[len < 0 ? 0 : len] = '\0';
	last = strrchr(target, '/');
	snprintf(name, size, "%s", last ? last + 1 : "");
}

static int address_check(const char *address)
{
	if (strlen(address) >= VAS_REGION_NAME_LEN || !*address ||
	    address[strspn(address, "0123456789abcdefABCDEF:.")] || strstr(address, ".."))
		return vas_error_set(-EINVAL, "not the address of a PCI device, as 0000:00:04.0");
	return 0;
}

static int group_find(const char *address, char *group, size_t size)
{
	char path[96];

	link_name(address, "iommu_group", group, size);
	if (*group)
		return 0;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	if (access(path, F_OK))
		return vas_error_set(-ENODEV, "there is no PCI device %s", address);
	return vas_error_set(-ENODEV, "%s is behind no IOMMU, or that is switched off", address);
}

static int group_open(const char *address, const char *group)
{
	char path[64], driver[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno == ENOENT) {
		link_name(address, "driver", driver, sizeof(driver));
		return vas_error_set(
			-ENODEV, "%s belongs to %s: have it given to vfio-pci (driver_override)",
			address, *driver ? driver : "no driver");
	}
	return vas_error_set(-errno, "%s, the group of %s: %s", path, address, strerror(errno));
}

static int group_check(const struct vas_vfio_device *device)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	if (ioctl(device->group_fd, VFIO_GROUP_GET_STATUS, &status))
		return vas_error_set(-errno, "%s: its group does not answer: %s", device->name,
				     strerror(errno));
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return vas_error_set(-EBUSY,
				     "%s shares its IOMMU group with a device that another driver "
				     "has",
				     device->name);
	return 0;
}

static int container_open(int container_fd)
{
	int fd = container_fd < 0 ? open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC) :
				    fcntl(container_fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? vas_error_set(-errno, "no VFIO container: %s", strerror(errno)) : fd;
}

/* An IOMMU is set once, when the first group is there. */
static int container_join(const struct vas_vfio_device *device, int is_new)
{
	if (ioctl(device->group_fd, VFIO_GROUP_SET_CONTAINER, &device->container_fd))
		return vas_error_set(-errno, "%s: its group does not enter the container: %s",
				     device->name, strerror(errno));
	if (is_new && ioctl(device->container_fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return vas_error_set(-errno, "%s: no IOMMU of type 1: %s", device->name,
				     strerror(errno));
	return 0;
}

static int open_by_group(const char *address, int container_fd, struct vas_vfio_device *device)
{
	char group[32];
	int err = group_find(address, group, sizeof(group));

	if (err)
		return err;
	device->group_fd = group_open(address, group);
	if (device->group_fd < 0)
		return device->group_fd;
	device->container_fd = container_open(container_fd);
	err = device->container_fd < 0 ? device->container_fd : group_check(device);
	if (!err)
		err = container_join(device, container_fd < 0);
	if (err)
		return err;
	device->device_fd = ioctl(device->group_fd, VFIO_GROUP_GET_DEVICE_FD, address);
	return device->device_fd < 0 ? vas_error_set(-errno, "%s: %s", address, strerror(errno)) :
				       0;
}

/* ---- by a file of its own -------------------------------------------------------------------- */

/* The name that sysfs has for the device's file: "" if there is none. */
static void own_name(const char *address, char *name, size_t size)
{
	char path[96];
	struct dirent *entry;
	DIR *dir;

	*name = '\0';
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", address);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4) && strlen(entry->d_name) < size)
			strcpy(name, entry->d_name);
	if (dir)
		closedir(dir);
}

static int iommufd_open(int iommufd)
{
	return iommufd < 0 ? open("/dev/iommu", O_RDWR | O_CLOEXEC) :
			     fcntl(iommufd, F_DUPFD_CLOEXEC, 0);
}

/* 0; -ENOENT: there is no such way here; or another error, told. */
static int open_by_itself(const char *address, int iommufd, struct vas_vfio_device *device)
{
	struct vfio_device_bind bind = { .size = sizeof(bind) };
	char name[32], path[64];

	own_name(address, name, sizeof(name));
	if (!*name || (iommufd >= 0 && !vas_fd_is_iommufd(iommufd)))
		return -ENOENT;
	device->container_fd = iommufd_open(iommufd);
	if (device->container_fd < 0)
		return -ENOENT;
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	device->device_fd = open(path, O_RDWR | O_CLOEXEC);
	if (device->device_fd < 0)
		return vas_error_set(-errno, "%s, the file of %s: %s", path, address,
				     strerror(errno));
	bind.iommufd = device->container_fd;
	if (ioctl(device->device_fd, VFIO_DEVICE_BIND, &bind))
		return vas_error_set(errno == EINVAL ? -EBUSY : -errno,
				     "%s: it cannot be bound to an iommufd, as if it were open "
				     "already: %s",
				     address, strerror(errno));
	device->device_id = bind.device;
	return 0;
}

static const struct vas_vfio_device nothing_open = {
	.container_fd = -1,
	.group_fd = -1,
	.device_fd = -1,
};

int vas_vfio_device_open(const char *address, int container_fd, struct vas_vfio_device *out)
{
	struct vas_vfio_device device = nothing_open;
	int err = address_check(address);

	if (err)
		return err;
	snprintf(device.name, sizeof(device.name), "%s", address);
	err = open_by_itself(address, container_fd, &device);
	if (err == -ENOENT) {
		vas_vfio_device_close(&device);
		device.container_fd = -1;
		err = open_by_group(address, container_fd, &device);
	}
	if (err) {
		vas_vfio_device_close(&device);
		return err;
	}
	*out = device;
	return 0;
}

void vas_vfio_device_close(struct vas_vfio_device *device)
{
	if (device->device_fd >= 0)
		close(device->device_fd);
	if (device->group_fd >= 0)
		close(device->group_fd);
	if (device->container_fd >= 0)
		close(device->container_fd);
}
