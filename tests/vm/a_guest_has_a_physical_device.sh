#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# In a machine with an IOMMU, tinyvmm gives an NVMe disk and an Ethernet device to stock Debian
# kernels, with their own drivers.
# usage: SCRIPT KERNEL intel|amd
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"

kernel_name=$1
need mkfs.ext4
case $2 in
intel) iommu=intel-iommu,intremap=on,caching-mode=on ;;
*) iommu=amd-iommu,intremap=on ;;
esac

mkdir -p "$tmp/root/sbin" "$tmp/root/mnt"
mkfs=$(command -v mkfs.ext4)
cp -L "$mkfs" "$tmp/root/sbin/mkfs.ext4"
ldd "$mkfs" | grep -o '/[^ ]*' | while read -r library; do
	mkdir -p "$tmp/root$(dirname "$library")"
	cp -L "$library" "$tmp/root$library"
done
make_initramfs "$NVME_INIT" nvme crc32c_generic ext4
nvme=$tmp/nvme
mv "$initramfs" "$nvme"
rm -rf "$tmp/root"
make_initramfs "$ETHERNET_INIT" e1000e

truncate -s 128M "$tmp/disk"
"$scripts/vm.sh" --kernel "$kernel_name" --with-kvm --accel tcg --mem 1536 --limit 1500 \
	--timeout 4000 --append "$2_iommu=on" --modprobe vfio_pci --modprobe vfio_iommu_type1 \
	--qemu-arg -device --qemu-arg "$iommu" \
	--qemu-arg -drive --qemu-arg "file=$tmp/disk,if=none,id=disk,format=raw" \
	--qemu-arg -device --qemu-arg nvme,drive=disk,serial=test \
	--qemu-arg -netdev --qemu-arg 'user,id=net,guestfwd=tcp:10.0.2.100:7-cmd:cat' \
	--qemu-arg -device --qemu-arg e1000e,netdev=net \
	--env TEST_TIMEOUT=1200 --file "$TINYVMM:$TINYVMM" --env "TEST_TINYVMM=$TINYVMM" \
	--file "$kernel:/guest/vmlinux" --env TEST_VMLINUX=/guest/vmlinux \
	--file "$nvme:/guest/nvme" --env TEST_NVME=/guest/nvme \
	--file "$initramfs:/guest/ethernet" --env TEST_ETHERNET=/guest/ethernet \
	--env "TEST_APPEND=$(machine_cmdline)" --run "$PASSTHROUGH"
grep -q . "$tmp/disk" || die "nothing was written to the disk"
