#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Kernels that look for bugs, built from Debian's source of 6.12 and kept in the cache: small, all
# built in, and with the checkers that cannot live in one kernel together.
#
# needs: make, gcc, bison, flex, bc, libelf-dev, libssl-dev, xz-utils; and what kernel.sh needs
set -eu
export LC_ALL=C

scripts=$(cd "$(dirname "$0")" && pwd)
cache=$("$scripts/kernel.sh" cache)
# shellcheck source-path=SCRIPTDIR source=kernel-apt.sh
. "$scripts/kernel-apt.sh"
source=linux-source-6.12
suite=bookworm-backports

usage()
{
	cat <<-END
	usage: debug-kernel.sh build KIND...
	       debug-kernel.sh path KIND vmlinux|build

	build  build a kernel if the cache lacks it, which takes about 10 minutes
	path   print where its vmlinux is, or the tree to build modules in: vas-ko.sh "\$(...)" FOLDER

	KIND   kasan  memory errors, locking, leaks, sleeping in atomic context, fault injection
	       kcsan  data races
	END
}

say()
{
	echo "kernel $name: $*" >&2
}

die()
{
	echo "debug-kernel.sh: $*" >&2
	exit 1
}

# What every one of them has: enough to run the tests, and next to nothing else.
config_common()
{
	cat <<-END
	EXPERT 64BIT SMP PREEMPT PRINTK PRINTK_TIME BUG KALLSYMS UNWINDER_FRAME_POINTER TTY
	SERIAL_8250 SERIAL_8250_CONSOLE BINFMT_ELF BINFMT_SCRIPT BLK_DEV_INITRD DEVTMPFS PROC_FS
	PROC_SYSCTL SYSFS DEBUG_FS SHMEM TMPFS ADVISE_SYSCALLS MEMFD_CREATE HUGETLBFS
	TRANSPARENT_HUGEPAGE COMPACTION MIGRATION SWAP BLOCK BLK_DEV BLK_DEV_LOOP USERFAULTFD
	MODULES MODULE_UNLOAD MULTIUSER FUTEX EPOLL EVENTFD SIGNALFD TIMERFD POSIX_TIMERS
	HIGH_RES_TIMERS NO_HZ_IDLE MEMBARRIER NET UNIX VIRTUALIZATION KVM KVM_AMD HYPERVISOR_GUEST
	PARAVIRT PVH PCI PCI_MSI ACPI FILE_LOCKING MEMORY_FAILURE PANIC_ON_OOPS DEBUG_KERNEL FTRACE
	EVENT_TRACING ENABLE_DEFAULT_TRACERS MAGIC_SYSRQ DMADEVICES CC_OPTIMIZE_FOR_PERFORMANCE
	VIRTIO_MENU VIRTIO_PCI VIRTIO_BLK EXT4_FS AIO IO_URING SYSVIPC KCMP
	END
}

config_kind()
{
	case $1 in
	kasan)
		cat <<-END
		KASAN KASAN_GENERIC KASAN_OUTLINE KASAN_VMALLOC PROVE_LOCKING DEBUG_ATOMIC_SLEEP
		DEBUG_KMEMLEAK DEBUG_LIST DEBUG_SG DEBUG_VM SLUB_DEBUG STACKTRACE DEBUG_OBJECTS
		DEBUG_OBJECTS_FREE DEBUG_OBJECTS_WORK DEBUG_OBJECTS_RCU_HEAD DEBUG_OBJECTS_TIMERS
		FAULT_INJECTION FAILSLAB FAIL_PAGE_ALLOC FAULT_INJECTION_USERCOPY
		FAULT_INJECTION_DEBUG_FS UBSAN UBSAN_BOUNDS UBSAN_SHIFT
		END
		;;
	kcsan)
		echo KCSAN KCSAN_STRICT KCSAN_EARLY_ENABLE DEBUG_ATOMIC_SLEEP DEBUG_LIST
		;;
	*) die "unknown kind '$1' (known: kasan kcsan)" ;;
	esac
}

config_off="LOCALVERSION_AUTO BASE_SMALL SLUB_TINY VT INPUT SERIO HID_SUPPORT USB_SUPPORT WIRELESS
	ETHTOOL_NETLINK CPU_MITIGATIONS DEBUG_INFO_BTF"

# A fragment that merge_config.sh takes
write_fragment()
{
	for option in $(config_common) $(config_kind "$name"); do
		echo "CONFIG_$option=y"
	done
	for option in $config_off; do
		echo "# CONFIG_$option is not set"
	done
	echo "CONFIG_NR_CPUS=8"
	echo "CONFIG_SERIAL_8250_NR_UARTS=2"
	echo "CONFIG_SERIAL_8250_RUNTIME_UARTS=2"
	echo "CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE=65536"
}

fetch_source()
{
	[ ! -e "$cache/$source/Makefile" ] || return 0
	command -v xz >/dev/null || die "xz is missing; please install it"
	apt_update
	unpack "$work" "$source"
	say "unpacking $source"
	mkdir "$work/tree"
	tar -C "$work/tree" --strip-components=1 -xf "$work/usr/src/$source.tar.xz"
	rm -rf "${cache:?}/$source"
	mv "$work/tree" "$cache/$source"
}

configure()
{
	make -C "$cache/$source" O="$build" tinyconfig
	write_fragment >"$work/fragment"
	(cd "$build" && "$cache/$source/scripts/kconfig/merge_config.sh" -m .config "$work/fragment")
	make -C "$build" olddefconfig
}

# Every option that a checker needs is there, or the kernel would find nothing in silence.
check_config()
{
	missing=
	for option in $(config_kind "$name"); do
		grep -q "^CONFIG_$option=y" "$build/.config" || missing="$missing $option"
	done
	[ -z "$missing" ] || die "the configuration has lost$missing"
}

build_one()
{
	name=$1
	config_kind "$name" >/dev/null
	dir=$cache/kernels/debug-$name
	work=$cache/kernels/.debug-$name.$$
	build=$dir/build
	mkdir -p "$cache/kernels"
	exec 9>"$cache/kernels/.debug-$name.lock"
	flock 9
	if [ -e "$dir/vmlinux" ]; then
		say "is in the cache"
		return
	fi
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	mkdir -p "$work" "$build"
	fetch_source
	say "configuring"
	configure >"$dir/log" 2>&1 || { tail -n 20 "$dir/log" >&2; die "cannot configure"; }
	check_config
	say "building, see $dir/log"
	nice make -C "$build" -j"$(nproc)" vmlinux modules >>"$dir/log" 2>&1 || {
		grep -iE -A5 'error' "$dir/log" | tail -n 30 >&2
		die "cannot build"
	}
	strip -g -o "$dir/vmlinux.new" "$build/vmlinux"
	# A module build needs the tree's tools and generated files, not what was linked.
	find "$build" -name '*.o' ! -path '*/tools/*' ! -path '*/scripts/*' -delete
	rm -f "$build/vmlinux" "$build/vmlinux.a"
	mv "$dir/vmlinux.new" "$dir/vmlinux"
	rm -rf "$work"
	say "is in $dir"
}

case ${1:-} in
build)
	shift
	[ $# -gt 0 ] || die "build: which kind? (kasan kcsan)"
	for kind; do
		(build_one "$kind")
	done
	;;
path)
	[ $# = 3 ] || die "path: wants a kind and a part"
	config_kind "$2" >/dev/null
	[ -e "$cache/kernels/debug-$2/vmlinux" ] || die "kernel $2 is not in the cache; run: $0 build $2"
	case $3 in
	vmlinux | build) echo "$cache/kernels/debug-$2/$3" ;;
	*) die "path: unknown part '$3'" ;;
	esac
	;;
-h | --help | help) usage ;;
*)
	usage >&2
	exit 1
	;;
esac
