/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A stock Linux in an unmodified QEMU with KVM, its RAM a vas, with a device of ours: the guest uses the
 * driver that it comes with, and QEMU does the device's registers, as for any vhost-user device.
 *
 * In the machine: the guest's kernel is /guest/vmlinux, its initramfs /guest/NAME.initramfs.
 */
#ifndef TESTS_KERNEL_LINUX_GUEST_H
#define TESTS_KERNEL_LINUX_GUEST_H

#include "device.h"
#include "vhost_user.h"

#define LINUX_GUEST_RAM (256ull << 20)

struct linux_guest {
	const char *name;    /* of its initramfs */
	const char *verdict; /* what it says once it is content */
	const char *const
		*args; /* of QEMU: its device, served at LINUX_GUEST_SOCKET; NULL ends them */
	const struct vhost_user_device *device;
};

#define LINUX_GUEST_SOCKET "/tmp/device.sock"

/*
 * Run it to its verdict. What is left in *user is what the device has done. Skips the case if there
 * is something that a guest needs and is not in this machine.
 */
void linux_guest_run(const struct linux_guest *guest, struct vhost_user *user);

#endif
