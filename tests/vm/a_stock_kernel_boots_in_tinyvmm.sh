#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# In a machine whose kernel has KVM, tinyvmm boots a stock Debian kernel, with a disk that its own
# threads serve, or a process on the bus; what the guest reads is what it wrote. And with vhost-net
# and vhost-vsock, and with all kinds of device on the bus; or devices come and go while it runs.
# VAS_NEXT: another build of the command, to which devices are upgraded; else it is the same one at
# another place.
# usage: SCRIPT KERNEL [CASE...]; LIMIT: seconds that all cases may take; TEST_PLUGS: how often a disk comes
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind disk

kernel_name=$1
shift
cases=$*
iommu_modules=
case $TINYVMM_LINUX in
*iommu)
	iommu_modules=virtio_iommu
	device_modules="virtio_iommu $device_modules"
	;;
esac
make_initramfs "$ETHERNET_INIT" virtio_pci virtio_net vmw_vsock_virtio_transport virtio_console
ethernet=$tmp/ethernet
mv "$initramfs" "$ethernet"
rm -rf "$tmp/root"
make_initramfs "$PLUG_INIT" virtio_pci virtio_blk virtio_net
plug=$tmp/plug
mv "$initramfs" "$plug"
rm -rf "$tmp/root"
# shellcheck disable=SC2086 # words
make_initramfs "$NET_INIT" $iommu_modules virtio_pci virtio_net
net=$tmp/net
mv "$initramfs" "$net"
rm -rf "$tmp/root"
others='' passt=''
case $TINYVMM_LINUX in
*fronts)
	others="/usr/bin/qemu-storage-daemon /usr/lib/qemu/virtiofsd"
	passt=$("$scripts/passt.sh" path 2>/dev/null) || passt=
	device_modules="$device_modules virtiofs"
	;;
esac
make_guest
set -- --modprobe vhost_net --modprobe vhost_vsock --modprobe tun
bzimage=$("$scripts/kernel.sh" path "$kernel_name" vmlinuz 2>/dev/null) || bzimage=
[ -z "$bzimage" ] || set -- "$@" --file "$bzimage:/guest/vmlinuz" --env TEST_BZIMAGE=/guest/vmlinuz
for file in ${passt:+bin/passt lib/x86_64-linux-gnu/libc.so.6 lib64/ld-linux-x86-64.so.2}; do
	# Not as programs, with which this system's libraries would come.
	install -m 644 "$passt/usr/$file" "$tmp/"
	set -- "$@" --file "$tmp/$(basename "$file"):/passt/"
done
for program in $others; do
	[ ! -x "$program" ] || set -- "$@" --file "$program:$program"
done
"$scripts/vm.sh" --kernel "$kernel_name" --with-kvm --mem 1536 --limit "${LIMIT:-1200}" --timeout 3000 \
	--env TEST_TIMEOUT=1000 --file "$TINYVMM:$TINYVMM" --file "$VAS:$VAS" \
	--env "TEST_VAS=$VAS" --file "${VAS_NEXT:-$VAS}:$VAS-next" --env "TEST_VAS_NEXT=$VAS-next" --file "$kernel:/guest/vmlinux" \
	--file "$initramfs:/guest/initramfs" --env "TEST_TINYVMM=$TINYVMM" \
	--env TEST_VMLINUX=/guest/vmlinux --env TEST_INITRD=/guest/initramfs \
	--file "$ethernet:/guest/ethernet" --env TEST_ETHERNET=/guest/ethernet \
	--file "$plug:/guest/plug" --env TEST_PLUG=/guest/plug \
	--env "TEST_PLUGS=${TEST_PLUGS:-20}" \
	--file "$net:/guest/net" --env TEST_NET=/guest/net \
	--env "TEST_APPEND=$(machine_cmdline)" "$@" --run "$TINYVMM_LINUX${cases:+ $cases}"
