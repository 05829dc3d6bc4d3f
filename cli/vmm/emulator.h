/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vas-qemu: what a program starts that is told a path to QEMU, as libvirt is by <emulator>. It
 * becomes QEMU, on a vas that a process in the background holds:
 *
 *	libvirt --starts--> vas-qemu --forks--> holder		makes the vas, lends it
 *			    |   <---- fds ----- |		RAM, monitor, lock of the run folder
 *			    becomes QEMU	watches it, and ends with it
 *
 * So QEMU is the process that was started: whoever started it sends it signals, reaps it, and has
 * passed it fds.
 */
#ifndef CLI_EMULATOR_H
#define CLI_EMULATOR_H

/* True for vas-qemu, and for vas-qemu-system-ARCH: the name by which this program was started. */
int emulator_is(const char *name);

/*
 * Become the QEMU of that architecture, or of the host's, with these arguments. Returns an exit
 * code only on an error, and in the holder, at its end.
 */
int emulator_run(char **argv);

#endif
