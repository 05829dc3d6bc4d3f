# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A disk: see device.sh. $device_words are further ones for QEMU's.
device_kind=blk device_init=$DISK_INIT device_modules=virtio_blk disk_mib=128 device_words=,num-queues=2

prepare()
{
	truncate -s ${disk_mib}M "$tmp/disk"
}

# All devices have the same disk.
device_where()
{
	where="--path $tmp/disk"
}

qemu_device()
{
	qemu_device="-device vhost-user-blk-pci,chardev=device$device_words"
}
