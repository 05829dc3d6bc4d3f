# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Random bytes: see device.sh.
device_kind=rng device_init=$RNG_INIT device_modules=virtio_rng reconnect=

prepare()
{
	:
}

device_where()
{
	where=
}

qemu_device()
{
	qemu_device="-device vhost-user-rng-pci,chardev=device"
}
