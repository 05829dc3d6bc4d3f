#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# An unmodified QEMU's guest has an IOMMU, and lets a device of another process reach what a request is
# about, and no longer than that (iommu.strict=1). What it reads is what it wrote, with split and
# packed rings, and with split ones after the device was killed.
# usage: a_guest_has_an_iommu_before_its_devices.sh disk|net [virtio]
# virtio: QEMU's virtio-iommu in place of its intel-iommu.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind "$@"
append="intel_iommu=on iommu.strict=1 iommu.passthrough=0"
iommu_device="-device intel-iommu,intremap=on,device-iotlb=on"
iommu_words=,iommu_platform=on,ats=on,disable-legacy=on
if [ "${2-}" = virtio ]; then
	# Debian's 6.1 has no driver of it.
	kernel_name=6.12
	device_modules="virtio_iommu $device_modules"
	iommu_device="-device virtio-iommu-pci"
	iommu_words=,iommu_platform=on,disable-legacy=on
fi

# Each page that is mapped for a request is asked for.
has_asked()
{
	[ "$(grep -c vhost_iotlb_miss "$tmp/$1.trace")" -gt "$2" ]
}

# try SERIAL WORDS killed|lives
try()
{
	name=$1 device_words=$iommu_words$2 fate=$3
	device_where 1
	# shellcheck disable=SC2086,SC2154 # words
	serve $where
	boot "$tmp/$name" -trace vhost_iotlb_miss -D "$tmp/$name.trace"
	goes_on "$tmp/$name" 100
	wait_until has_asked "$name" 100
	if [ "$fate" = killed ]; then
		kill_device
		# shellcheck disable=SC2086,SC2154 # words
		serve $where
		goes_on "$tmp/$name" 100
	fi
	kill "$guest" "$device"
	wait "$guest" 2>/dev/null || :
	wait "$device" || die "the device ends with $?: $(cat "$tmp/device.err")"
	! grep -v 'was left behind' "$tmp/device.err" || die "$name: the device says so"
}

make_guest
try split "" killed
try packed ,packed=on lives
