/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest of QEMU's beside its memory, as a snapshot or a stream has it:
 *
 *	struct qemu_record_header	16 bytes
 *	JSON				{"qemu": "7.2.22", "machine": "pc-q35-7.2", "memory": 536870912,
 *					 "running": true, "with-ram": true, "vmgenid": "c0ffee...",
 *					 "command": ["qemu-system-x86_64", ...]}
 *	the devices' state		qemu_save()
 */
#ifndef QEMU_RECORD_H
#define QEMU_RECORD_H

#include "qemu/state.h"

#define QEMU_RECORD_MAGIC 0x554d4551u /* "QEMU" */

struct qemu_record_header {
	uint32_t magic;
	uint32_t version; /* 1 */
	uint32_t json_size;
	uint32_t pad;
};

struct qemu_record {
	struct qemu_kind kind;
	uint64_t memory;   /* bytes of RAM */
	char genid[37];	   /* qemu_genid(); "": there is none */
	int is_running;	   /* as it was when it was saved, and should be again */
	int with_ram;	   /* the state's stream had the RAM in it: qemu_load() */
	char **command;	   /* as 'vas run' was given it; NULL at its end, or at once: unknown */
	const void *state; /* borrowed */
	size_t state_size;
};

/* The record as bytes, malloced. */
int qemu_record_pack(const struct qemu_record *record, void **bytes, size_t *size);

/*
 * What the bytes say, which may be from anybody: -EPROTO if they are no such record. `command` is
 * for qemu_record_clean(), which is due on success; `state` lies in bytes.
 */
int qemu_record_parse(const void *bytes, size_t size, struct qemu_record *record);
void qemu_record_clean(struct qemu_record *record);

#endif
