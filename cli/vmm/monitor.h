/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The monitors of the QEMUs of a run folder. */
#ifndef CLI_MONITOR_H
#define CLI_MONITOR_H

#include <sys/types.h>

#include "cli/vmm/run_folder.h"
#include "qemu/state.h"

/*
 * That of the guest's QEMU, or of the next one (RUN_MONITOR, RUN_NEXT_MONITOR): 0 with *qmp NULL if
 * there is none: it has ended, or never was. -errno as qmp_open().
 */
int monitor_open(const struct run_folder *folder, const char *file, struct qmp **qmp);

/*
 * The same of a QEMU that was just started, as soon as it listens: -ECHILD if it ends before,
 * -EINTR if a signal comes that is to end this command.
 */
int monitor_await(const struct run_folder *folder, const char *file, pid_t pid, struct qmp **qmp);

/* That QEMU is told to quit, and killed if it does not in time: it has ended when this is 0. */
int monitor_quit(struct qmp *qmp, int timeout_ms);

#endif
