/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a guest says of the IOMMU that a device of its is behind. */
#ifndef TESTS_VM_GUEST_IOMMU_H
#define TESTS_VM_GUEST_IOMMU_H

#include <stdio.h>
#include <string.h>

/* "WORD: behind an IOMMU, DMA", which is its group's type; nothing, if it is behind none. */
static inline void tell_of_iommu(const char *word, const char *device)
{
	char path[128], type[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/device/../iommu_group/type", device);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(type, sizeof(type), file))
		printf("%s: behind an IOMMU, %s\n", word, strtok(type, "\n"));
	fclose(file);
}

#endif
