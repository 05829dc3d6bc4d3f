#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Boot a stock Linux in an unmodified QEMU, with a file that is already open as its RAM: a vas, or
# any memfd. The file may be sealed, and larger than the RAM: QEMU neither resizes it nor looks at
# what lies behind the RAM.
#
# needs: qemu-system-x86, cpio, gcc, libc6-dev; and what kernel.sh needs
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=vm-machine.sh
. "$scripts/vm-machine.sh"
kernel=6.1 machine=q35 mib=512 fd='' nonce='' wait=60

usage()
{
	cat <<-END
	usage: demo-vm.sh boot --fd N --nonce TEXT [OPTION...] [-- QEMU-ARGUMENT...]
	       demo-vm.sh regions [--machine M] [--mem MIB]

	boot     become a QEMU whose RAM is the file open as N; the console is on stdin and stdout
	regions  print how that RAM lies in guest-physical space: lines of "gpa size offset"

	--fd N         file descriptor of the RAM
	--nonce TEXT   what the guest puts behind VAS-DEMO-MARKER: in a page of its RAM
	--wait S       seconds the guest waits for an answer (default: $wait)
	--kernel NAME  kernel, as kernel.sh names it (default: $kernel)
	--machine M    pc, q35 or microvm (default: $machine)
	--mem MIB      RAM in MiB (default: $mib)
	END
}

parse()
{
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		[ $# -gt 1 ] || machine_die "$1: unknown option, or without a value"
		case $1 in
		--fd) fd=$2 ;;
		--nonce) nonce=$2 ;;
		--wait) wait=$2 ;;
		--kernel) kernel=$2 ;;
		--machine) machine=$2 ;;
		--mem) mib=$2 ;;
		*) machine_die "unknown option $1" ;;
		esac
		shift 2
	done
}

check_boot()
{
	for tool in qemu-system-x86_64 cpio; do
		command -v $tool >/dev/null || machine_die "$tool is missing; please install it"
	done
	[ -n "$fd" ] || machine_die "--fd: which open file is the RAM?"
	[ -e "/proc/self/fd/$fd" ] || machine_die "--fd $fd: not open"
	size=$(stat -L -c %s "/proc/self/fd/$fd")
	[ "$size" -ge $((mib << 20)) ] || machine_die "--fd $fd: smaller than $mib MiB"
	[ -n "$nonce" ] || machine_die "--nonce: which one?"
}

# The initramfs is gone from the file system before QEMU starts: nobody has to clean up after it.
open_initramfs()
{
	initramfs_fd=9
	[ "$fd" != 9 ] || initramfs_fd=8
	temp=$(mktemp -d)
	trap 'rm -rf "$temp"' EXIT
	mkdir -p "$temp/root/dev" "$temp/root/proc"
	machine_program "$temp/root/init" "$scripts/../tests/vm/guest/demo_init.c"
	machine_initramfs "$temp/root" "$temp/initramfs"
	eval "exec $initramfs_fd<\"\$temp/initramfs\""
	rm -rf "$temp"
	trap - EXIT
}

boot()
{
	check_boot
	vmlinux=$("$scripts/kernel.sh" path "$kernel" vmlinux)
	open_initramfs
	acpi=
	[ "$machine" != microvm ] || acpi=acpi=off
	exec qemu-system-x86_64 -machine "$machine,memory-backend=ram" -accel tcg,thread=multi -cpu max \
		-object "memory-backend-file,id=ram,mem-path=/proc/self/fd/$fd,share=on,size=${mib}M" \
		-m "${mib}M" -nodefaults -display none -no-reboot -serial stdio \
		-kernel "$vmlinux" -initrd "/proc/self/fd/$initramfs_fd" \
		-append "$(machine_cmdline) $acpi vas_nonce=$nonce vas_wait=$wait" "$@"
}

command=${1:-}
[ $# = 0 ] || shift
case $command in
boot | regions)
	parse "$@"
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		shift
	done
	[ $# = 0 ] || shift
	;;
esac
case $command in
boot) boot "$@" ;;
regions) machine_regions "$machine" "$mib" ;;
-h | --help | help) usage ;;
*)
	usage >&2
	exit 1
	;;
esac
