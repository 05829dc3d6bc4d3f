/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A memory back end among QEMU's arguments: what follows -object, in either way to write it.
 *
 *	memory-backend-ram,id=ram,size=1G,prealloc=on
 *	{"qom-type":"memory-backend-ram","id":"ram","size":1073741824,"prealloc":true}
 */
#ifndef QEMU_BACKEND_H
#define QEMU_BACKEND_H

#include <stdint.h>

#define QEMU_BACKEND_ID_LEN 64

struct qemu_backend {
	char id[QEMU_BACKEND_ID_LEN];
	char size[32];	/* as it is written: "1G", "1073741824" */
	char path[256]; /* of its file; "": it has none */
	int is_huge;	/* hugetlb=on, as a memory-backend-memfd has it */
};

/* 1: this is one. 0: it is another object, or cannot be understood. */
int qemu_backend_parse(const char *value, struct qemu_backend *backend);

/*
 * The same back end with its bytes in the file at `path`, for all who map that (is_shared) or as a
 * private copy; malloced, or NULL. What is said of the bytes' place before goes; all else stays.
 */
char *qemu_backend_at(const char *value, const char *path, int is_shared);

/*
 * What follows -device, in either way to write it: the id of the back end that a DIMM or a
 * virtio-mem has (1; of all else 0); where its memory is to be, or 0; and the same device with its
 * memory there, malloced.
 */
int qemu_device_memdev(const char *value, char id[QEMU_BACKEND_ID_LEN]);
uint64_t qemu_device_gpa(const char *value);
char *qemu_device_at(const char *value, uint64_t gpa);

#endif
