// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/consumer/vfio/host_device.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness.h"

#define PCI_DEVICES "/sys/bus/pci/devices/"

static unsigned long attribute(const char *address, const char *name)
{
	char path[384], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), PCI_DEVICES "%s/%s", address, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		*text = '\0';
	close(fd);
	return strtoul(text, NULL, 0);
}

static void attribute_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK_OK(fd);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void host_device_find(unsigned int vendor, unsigned int device, int index, char *address,
		      size_t size)
{
	struct dirent **names;
	int nr = scandir(PCI_DEVICES, &names, NULL, alphasort), i, found = 0;
	char path[384];

	for (i = 0; i < nr; i++) {
		if (attribute(names[i]->d_name, "vendor") != vendor ||
		    attribute(names[i]->d_name, "device") != device || found++ != index)
			continue;
		snprintf(address, size, "%s", names[i]->d_name);
		snprintf(path, sizeof(path), PCI_DEVICES "%s/iommu_group", address);
		if (access(path, F_OK))
			test_skip("the machine has no IOMMU, or it is off");
		return;
	}
	test_skip("the machine has no device %04x:%04x", vendor, device);
}

void host_device_give(const char *address)
{
	char path[128];

	snprintf(path, sizeof(path), PCI_DEVICES "%s/driver", address);
	if (!access(path, F_OK))
		return;
	snprintf(path, sizeof(path), PCI_DEVICES "%s/driver_override", address);
	attribute_write(path, "vfio-pci");
	attribute_write("/sys/bus/pci/drivers_probe", address);
}
