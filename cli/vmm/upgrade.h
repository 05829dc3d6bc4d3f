/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest goes on in another QEMU, on the memory that it has. */
#ifndef CLI_UPGRADE_H
#define CLI_UPGRADE_H

/*
 * command: what to start, or NULL: what runs, as it was started. Its holder starts it, or this
 * process if there is no holder, which then holds the vas until QEMU ends. On an error the guest
 * goes on in the QEMU that it was in, or in one that was started like that. An exit code.
 */
int upgrade_guest(const char *name, char *const *command);

/* The guest goes on, also from between two QEMUs. An exit code. */
int upgrade_resume(const char *name);

#endif
