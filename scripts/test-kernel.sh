#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Build vas.ko and its users for several kernels, boot each of those in a machine, and run the tests
# there, those of KVM's guests too. The machines' logs are checked after each test: see vm.sh.
#
# exit status: 0 = all passed, 1 = something failed, 77 = nothing could be run
# needs: meson, ninja; and what vas-ko.sh and vm.sh need
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$scripts")
# shellcheck source-path=SCRIPTDIR source=vm-machine.sh
. "$scripts/vm-machine.sh"
build=${VAS_KERNEL_BUILD:-$top/build-kernel}
all='guests binding copies maps lists events driving modules dirty foo blk blk_hostile blk_iommu net
	net_life net_hostile net_iommu net_bus blk_bus devices migrate hotplug leaks pinning forged watching failing
	fuzz contract dma echo blk_linux net_linux together beside dkms'
modules='vas modules/test/vas_test modules/example/vas_example modules/virtqueue/vas_virtqueue modules/blk/vas_blk
	modules/net/vas_net modules/dma/vas_dma'
debug='' long='' only='' kernels='' passed=0 failed=0 skipped=0

usage()
{
	cat <<-END
	usage: test-kernel.sh [--debug] [--long] [--only TEST]... [NAME...]

	--debug      on the debug kernel, which looks for bugs; with NAMEs: on that one, too; the kernel
	             that looks for data races has a NAME of its own, kcsan
	--long       as much as counts once: 10,000 times hot-unplug, 10 minutes of fuzzing
	--only TEST  not all tests; may be repeated. There are:
	$(echo "$all" | fold -s -w 70 | sed 's/^/             /')

	NAME         a kernel as kernel.sh names it (default: 6.1 6.12 newest); what has a test named beside
	             is iommufd, the one with the kernel's own tests of that and of VFIO

	TEST_SEED, TEST_HOTPLUG_ROUNDS, TEST_FUZZ_SECONDS, TEST_ECHO_ROUNDS,
	TEST_TOGETHER_ROUNDS  reach the tests
	VAS_KERNEL_BUILD  folder to build in (now: $build)
	END
}

parse()
{
	while [ $# -gt 0 ]; do
		case $1 in
		--debug) debug=1 ;;
		--long) long=1 ;;
		--only)
			[ $# -gt 1 ] || { usage >&2; exit 1; }
			only="$only $2"
			shift
			;;
		-h | --help)
			usage
			exit
			;;
		-*)
			usage >&2
			exit 1
			;;
		*) kernels="$kernels $1" ;;
		esac
		shift
	done
	[ -n "$kernels" ] || [ -n "$debug" ] || kernels='6.1 6.12 newest'
	case "$debug $kernels " in
	1*' debug '*) ;;
	1*) kernels="$kernels debug" ;;
	esac
}

# The programs are the same for all kernels.
build_programs()
{
	[ -e "$build/build.ninja" ] || meson setup --buildtype debugoptimized -Dwerror=true "$build" "$top" >&2
	nice ninja -C "$build" kernel-programs >"$build/programs.log" 2>&1 || {
		grep -A8 -E 'error|FAILED' "$build/programs.log" | head -n 40 >&2
		exit 1
	}
}

# Warnings count: these files are clean on every kernel, comments of functions included.
build_modules()
{
	log=$build/ko-$1.log
	nice "$scripts/vas-ko.sh" "$1" "$build/ko-$1" -j"$(nproc)" W=1 >"$log" 2>&1 || {
		grep -A6 -E 'error' "$log" | head -n 40
		return 1
	}
	if grep -E "warning:" "$log" | grep -v 'BTF'; then
		return 1
	fi
}

count()
{
	echo "$1 $2"
	case $1 in
	ok) passed=$((passed + 1)) ;;
	skip) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
}

# A kernel that was built here: mostly for its checkers, which take their time. KVM is part of it.
is_from_source()
{
	case $1 in
	debug | kcsan | iommufd) ;;
	*) return 1 ;;
	esac
}

# Arguments of vm.sh. A case that hangs says so itself, before its program is over time: there may be
# several that take minutes on a busy machine.
machine_options()
{
	each=540 limit=1800 timeout=5400 rounds=600 seconds=20
	! is_from_source "$1" || each=1440 limit=3600 timeout=10800 rounds=300
	[ -z "$long" ] || each=3540 limit=3600 timeout=10800 rounds=10000 seconds=600
	echo --smp 2 --mem 2048 --console "$build/console-$1"
	echo --qemu-arg -device --qemu-arg edu,dma_mask=0xffffffffffffffff
	echo --limit $limit --timeout $timeout --env TEST_TIMEOUT=$each
	echo --env TEST_HOTPLUG_ROUNDS="${TEST_HOTPLUG_ROUNDS:-$rounds}"
	echo --env TEST_FUZZ_SECONDS="${TEST_FUZZ_SECONDS:-$seconds}"
	[ -z "${TEST_ECHO_ROUNDS:-}" ] || echo --env TEST_ECHO_ROUNDS="$TEST_ECHO_ROUNDS"
	[ -z "${TEST_SEED:-}" ] || echo --env TEST_SEED="$TEST_SEED"
	# Every 200th access is watched for a while; that is 20 times as often as by default.
	[ "$1" != kcsan ] || echo --append kcsan.skip_watch=200
	! is_from_source "$1" || echo --env TEST_BUS_ROUNDS=10
	is_from_source "$1" || echo --with-kvm --modprobe loop
}

# make_guest NAME MODULE...: a Linux guest for the machine's own KVM: what it does is NAME_linux_init.c
make_guest()
{
	name=$1 root=$guest/$1
	shift
	mkdir -p "$root/dev" "$root/sys" "$root/modules"
	machine_program "$root/init" "$top/tests/kernel/${name}_linux_init.c"
	"$scripts/kernel.sh" modules 6.1 "$@" >"$guest/list"
	while read -r module; do
		cp "$module" "$root/modules/"
		echo "/modules/$(basename "$module")"
	done <"$guest/list" >"$root/modules/list"
	machine_initramfs "$root" "$guest/$name.initramfs"
}

wants()
{
	case " ${only:-$all} " in
	*[[:space:]]"$1"[[:space:]]*) ;;
	*) return 1 ;;
	esac
}

wants_guest()
{
	wants blk_linux || wants net_linux
}

make_guests()
{
	guest=$build/guest
	rm -rf "$guest"
	mkdir -p "$guest"
	"$scripts/kernel.sh" fetch 6.1
	cp "$("$scripts/kernel.sh" path 6.1 vmlinux)" "$guest/vmlinux"
	make_guest blk virtio_pci virtio_blk
	make_guest net virtio_pci virtio_net
}

# run NAME: boot it and run the tests, then add up
run()
{
	name=$1
	# shellcheck disable=SC2046 # a list of words
	set -- --kernel "$name" $(machine_options "$name")
	for module in $modules; do
		[ ! -e "$build/ko-$name/kernel/$module.ko" ] ||
			set -- "$@" --module "$build/ko-$name/kernel/$module.ko"
	done
	programs=$#
	for test in ${only:-$all}; do
		case $test in
		guests | blk_linux | net_linux | together | beside | dkms) ;;
		*) set -- "$@" --run "$build/tests/kernel/kernel_$test" ;;
		esac
	done
	[ $# = $programs ] || machine "$name" "$@"
}

# run_linux NAME: Linux guests of QEMU's, with devices of the modules', in a machine of their own: see
# has_lost_its_clock() in vm.sh. (With one thread for all processors they hang.)
run_linux()
{
	name=$1
	# shellcheck disable=SC2046 # a list of words
	set -- --kernel "$name" $(machine_options "$name") \
		--env "TEST_CMDLINE=$(machine_cmdline)" \
		--file "$(command -v qemu-system-x86_64):/guest/" \
		--file "$guest/vmlinux:/guest/" \
		--file "$guest/blk.initramfs:/guest/" --file "$guest/net.initramfs:/guest/"
	for rom in /usr/share/qemu/bios-microvm.bin /usr/share/qemu/pvh.bin \
		/usr/share/qemu/linuxboot_dma.bin /usr/share/qemu/kvmvapic.bin; do
		set -- "$@" --file "$rom:/guest/"
	done
	for module in vas modules/virtqueue/vas_virtqueue modules/blk/vas_blk modules/net/vas_net; do
		set -- "$@" --module "$build/ko-$name/kernel/$module.ko"
	done
	for test in blk_linux net_linux; do
		! wants $test || set -- "$@" --run "$build/tests/kernel/kernel_$test"
	done
	machine "$name" "$@"
}

# run_guests NAME: the guests of the KVM tests, on that kernel's KVM: with numbers that fit a machine a
# hundred times slower. They need no module of ours, so checkers would have nothing to look at.
run_guests()
{
	! is_from_source "$1" || return 0
	name=$1
	set -- --kernel "$name" --with-kvm --mem 1024 --limit 900 --timeout 5000 \
		--env TEST_TIMEOUT=800 --env TEST_KVM_REGIONS=1000 --env TEST_ECHO_ROUNDS=200 \
		--env TEST_HOTPLUG_TIMES=50 --env TEST_MOVES=6
	for program in "$build"/tests/consumer/kvm/kvm_*_static "$build/tests/migrate/migrate_guest_moves"; do
		set -- "$@" --run "$program"
	done
	machine "$name" "$@"
}

# run_together NAME: everybody who follows a vas, on one: that takes an IOMMU, and the kernel's vhost and
# VFIO. Only the kernel that looks for data races has no IOMMU.
run_together()
{
	name=$1 rounds=100
	[ "$1" != kcsan ] || return 0
	[ -z "$long" ] || rounds=1000
	set -- --kernel "$name" --with-kvm --accel tcg,thread=single --mem 1024 --limit 3600 --timeout 10800 \
		--append 'intel_iommu=on rcupdate.rcu_cpu_stall_timeout=300' --modprobe vfio_pci \
		--modprobe vfio_iommu_type1 --modprobe vhost_net --modprobe tun \
		--qemu-arg -device --qemu-arg intel-iommu,intremap=on,caching-mode=on \
		--qemu-arg -device --qemu-arg edu,dma_mask=0xffffffffffffffff \
		--qemu-arg -device --qemu-arg edu,dma_mask=0xffffffffffffffff \
		--env TEST_TIMEOUT=3500 --env TEST_TOGETHER_ROUNDS="${TEST_TOGETHER_ROUNDS:-$rounds}"
	for module in vas modules/test/vas_test modules/virtqueue/vas_virtqueue modules/net/vas_net; do
		set -- "$@" --module "$build/ko-$name/kernel/$module.ko"
	done
	machine "$name" "$@" --run "$build/tests/kernel/kernel_together"
}

# run_beside NAME: the kernel's own tests of iommufd and VFIO, while a device follows a vas
run_beside()
{
	[ "$1" = iommufd ] || return 0
	name=$1
	"$scripts/kernel.sh" selftests "$name" "$build/selftests" iommu vfio >"$build/selftests.list" || {
		count 'not ok' "$name: the kernel's own tests # they do not build"
		return 0
	}
	set -- --kernel "$name" --mem 2048 --limit 3600 --timeout 5400 --env TEST_TIMEOUT=1800 \
		--append 'intel_iommu=on hugepages=64 log_buf_len=4M' --console "$build/console-$name-beside" \
		--qemu-arg -device --qemu-arg intel-iommu,intremap=on,caching-mode=on \
		--qemu-arg -device --qemu-arg edu,dma_mask=0xffffffffffffffff \
		--qemu-arg -device --qemu-arg edu,dma_mask=0xffffffffffffffff
	while read -r program; do
		set -- "$@" --file "$program:/selftests/"
	done <"$build/selftests.list"
	machine "$name" "$@" --run "$build/tests/kernel/kernel_beside"
}

# machine NAME ARGUMENT...: of vm.sh; add up what it reports
machine()
{
	name=$1
	shift
	"$scripts/vm.sh" "$@" >"$build/result-$name" || :
	sed '$d' "$build/result-$name" | sed "s/^/$name: /"
	line=$(tail -n 1 "$build/result-$name")
	case $line in
	*passed,*)
		passed=$((passed + ${line%% passed*}))
		line=${line#*, }
		failed=$((failed + ${line%% failed*}))
		line=${line#*, }
		skipped=$((skipped + ${line%% skipped*}))
		;;
	skip:*) count skip "$name # ${line#skip: }" ;;
	*) count 'not ok' "$name # the machine did not report" ;;
	esac
}

# The modules built the way in which a system does that has them installed.
try_dkms()
{
	! is_from_source "$1" || return 0
	status=0
	said=$("$scripts/dkms-try.sh" "$1") || status=$?
	case $status in
	0) count ok "$1: dkms" ;;
	77) count skip "$1: dkms # ${said#skip: }" ;;
	*)
		echo "$said" | sed 's/^/# /'
		count 'not ok' "$1: dkms"
		;;
	esac
}

parse "$@"
for tool in meson ninja make; do
	command -v $tool >/dev/null || {
		echo "skip: $tool is missing; please install it"
		exit 77
	}
done
build_programs
! wants_guest || make_guests
for kernel in $kernels; do
	if ! "$scripts/kernel.sh" fetch --headers "$kernel"; then
		count skip "$kernel # it cannot be had"
	elif ! build_modules "$kernel"; then
		count 'not ok' "$kernel # the modules do not build cleanly"
	else
		! wants guests || run_guests "$kernel"
		run "$kernel"
		! wants_guest || run_linux "$kernel"
		! wants together || run_together "$kernel"
		! wants beside || run_beside "$kernel"
		! wants dkms || try_dkms "$kernel"
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] || exit 1
[ "$passed" -gt 0 ] || exit 77
