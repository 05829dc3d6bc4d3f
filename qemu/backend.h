/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A memory back end among QEMU's arguments: what follows -object, in either way to write it.
 *
 *	memory-backend-ram,id=ram,size=1G,prealloc=on
 *	{"qom-type":"memory-backend-ram","id":"ram","size":1073741824,"prealloc":true}
 */
#ifndef QEMU_BACKEND_H
#define QEMU_BACKEND_H

struct qemu_backend {
	char id[64];
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

#endif
