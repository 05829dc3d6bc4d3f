# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Linux guests that work on a disk of 'vas device blk', in QEMUs under TCG; to be sourced after
# ../cli/lib.sh.
#
#	make_disk_guest			the kernel $kernel_name, an initramfs: $kernel, $initramfs
#	serve [OPTION...]		the device, in the background: $device; it listens at $tmp/blk
#	boot_disk SERIAL [WORD...]	QEMU, with further words: $guest; the guest has begun to work
#	checked SERIAL			how much it has checked
#	goes_on SERIAL			wait until it has checked more; nothing was broken

scripts=$(cd "$(dirname "$0")/../../scripts" && pwd)
# shellcheck source-path=SCRIPTDIR/../../scripts source=../../scripts/vm-machine.sh
. "$scripts/vm-machine.sh"
disk_mib=128 guest_mib=192 kernel_name=6.1

make_disk_guest()
{
	need qemu-system-x86_64 cpio
	kernel=$("$scripts/kernel.sh" path "$kernel_name" vmlinux) || skip "kernel $kernel_name is not in the cache"
	"$scripts/kernel.sh" modules "$kernel_name" virtio_pci virtio_blk >"$tmp/modules" ||
		skip "kernel $kernel_name has no modules in the cache"
	mkdir -p "$tmp/root/modules" "$tmp/root/dev" "$tmp/root/proc" "$tmp/root/sys"
	cp "$DISK_INIT" "$tmp/root/init"
	while read -r file; do
		cp "$file" "$tmp/root/modules/"
		echo "/modules/$(basename "$file")"
	done <"$tmp/modules" >"$tmp/root/modules/list"
	initramfs=$tmp/initramfs
	machine_initramfs "$tmp/root" "$initramfs"
}

serve()
{
	"$VAS" device blk --vhost-user "$tmp/blk" "$@" 2>>"$tmp/device.err" &
	device=$!
	started="$started $device"
}

# At any moment, as whoever has it killed: no signal that it could take.
kill_device()
{
	kill -9 "$device"
	wait "$device" 2>/dev/null || :
}

# disk_machine SERIAL: QEMU's words
disk_machine()
{
	command="qemu-system-x86_64 -M q35,memory-backend=ram -accel tcg,thread=multi -cpu max -smp 2
		-m ${guest_mib}M -object memory-backend-memfd,id=ram,size=${guest_mib}M,share=on
		-nodefaults -display none -no-reboot -serial file:$1 -kernel $kernel -initrd $initramfs
		-chardev socket,id=blk,path=${sock:-$tmp/blk},reconnect=1
		-device vhost-user-blk-pci,chardev=blk${device_words:-}"
}

boot_disk()
{
	serial=$1
	shift
	disk_machine "$serial"
	# shellcheck disable=SC2086 # words
	$command -append "$(machine_cmdline) ${append:-}" "$@" >"$tmp/qemu.out" 2>&1 &
	guest=$!
	started="$started $guest"
}

checked()
{
	[ ! -e "$1" ] || sed -n 's/^.*disk: \([0-9]*\) checked.*/\1/p' "$1" | tail -n 1
}

has_checked()
{
	[ -e "$1" ] || return
	! grep -a 'BROKEN\|I/O error' "$1" || die "$1 says so"
	kill -0 "$guest" || die "QEMU has ended: $(cat "$tmp/qemu.out")"
	now=$(checked "$1")
	[ "${now:-0}" -gt "$2" ]
}

goes_on()
{
	before=$(checked "$1")
	wait_until has_checked "$1" $((${before:-0} + ${2:-50}))
}
