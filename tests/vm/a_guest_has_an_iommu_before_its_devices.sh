#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# An unmodified QEMU's guest has an IOMMU, and lets the device of another process reach no more than
# what a request is about, for as long as it takes (iommu.strict=1): what it reads is what it wrote.
# usage: a_guest_has_an_iommu_before_its_devices.sh disk|net, with IOMMU=intel or virtio
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind "$1"
iommu=${IOMMU:-intel}
append="intel_iommu=on iommu.strict=1 iommu.passthrough=0"
words=,iommu_platform=on,disable-legacy=on

case $iommu in
intel)
	iommu_device="-device intel-iommu,intremap=on,device-iotlb=on"
	words=$words,ats=on
	;;
virtio) iommu_device="-device virtio-iommu-pci" ;;
esac

# before_device: the IOMMU comes first among QEMU's words.
make_guest
device_where 1
try()
{
	name=$1 device_words=$words$2
	shift 2
	# shellcheck disable=SC2086,SC2154 # words
	serve $where "$@"
	boot "$tmp/$name"
	goes_on "$tmp/$name" 300
	kill "$guest"
	wait "$guest" 2>/dev/null || :
	kill "$device"
	wait "$device" || die "the device ends with $?: $(cat "$tmp/device.err")"
	has_no_errors "$name"
}
try split ""
