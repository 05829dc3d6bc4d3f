#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# What vas.ko costs, beside KVM's own copies and what both are made of: builds the modules for a kernel,
# boots it in a machine and measures there. See bench/README.md.
#
# exit status: 0 = measured, and all goals met; 1 = not; 77 = nothing could be run
# needs: meson, ninja; and what vas-ko.sh and vm.sh need
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$scripts")
build=${VAS_BENCH_BUILD:-$top/build-bench}
kernels='' options='' time='' measured=0 status=0
modules='vas modules/test/vas_test modules/virtqueue/vas_virtqueue modules/net/vas_net
	modules/bench/vas_bench modules/bench/kvm_bench'

usage()
{
	cat <<-END
	usage: bench-kernel.sh [NAME...] [OPTION...]

	--time          nanoseconds instead of instructions; in a machine without KVM they are the emulator's
	--case PATTERN, --rounds N, --quick, --json, --list: as for every bench

	NAME            a kernel as kernel.sh names it (default: 6.1 6.12 newest)

	VAS_BENCH_BUILD  folder to build in (now: $build)
	END
}

# The words of an option must have no blanks in them, as it goes through the machine's plan.
parse()
{
	while [ $# -gt 0 ]; do
		case $1 in
		--time) time=1 ;;
		-h | --help)
			usage
			exit
			;;
		--case | --rounds)
			[ $# -gt 1 ] || { usage >&2; exit 2; }
			options="$options $1 $2"
			shift
			;;
		-*) options="$options $1" ;;
		*) kernels="$kernels $1" ;;
		esac
		shift
	done
	: "${kernels:=6.1 6.12 newest}"
}

build_program()
{
	[ -e "$build/build.ninja" ] ||
		meson setup --buildtype=release -Dwerror=true -Dbench=true "$build" "$top" >/dev/null
	ninja -C "$build" bench/kernel-bench >"$build/bench.log" || {
		cat "$build/bench.log" >&2
		exit 1
	}
}

# Newer kernels export KVM's copies to KVM's own modules only.
exports_kvm()
{
	awk -F '\t' '$2 == "kvm_read_guest" && $5 == "" { found = 1 } END { exit !found }' \
		"$1/Module.symvers"
}

# What there can be for a kernel
build_modules()
{
	tree=$("$scripts/kernel.sh" path "$1" headers)
	folder=$build/ko-$1
	rm -f "$folder"/kernel/modules/bench/*.ko
	set -- "$1" "$folder" -j2 VAS_BENCH=m
	! exports_kvm "$tree" || set -- "$@" VAS_BENCH_KVM=m
	"$scripts/vas-ko.sh" "$@" >"$folder.log" 2>&1 || {
		grep -A6 -E 'error' "$folder.log" | head -n 40 >&2
		return 1
	}
}

# With -icount, an instruction takes a nanosecond of the machine's time, and the processor's clock ticks
# once in it. Copies go by words then: a "rep movsb" would count each byte.
machine_options()
{
	[ -z "$time" ] || return 0
	echo --accel tcg,thread=single --env VAS_BENCH_UNIT=insns --qemu-arg -icount \
		--qemu-arg shift=0,sleep=off --qemu-arg -cpu --qemu-arg max,-erms,-fsrm
}

# The bench's own lines: from its head on, or its records
show()
{
	tr -d '\r' <"$1" | grep -E '^(\{"bench"|kernel-|case |goal |[a-z-]+(/[0-9]+)+( |$)| {20})' || :
}

measure()
{
	name=$1
	set -- --kernel "$name" --with-kvm --modprobe tun --modprobe vhost_net \
		--modprobe vfio_pci --modprobe vfio_iommu_type1 --append intel_iommu=on \
		--qemu-arg -device --qemu-arg intel-iommu,intremap=on \
		--qemu-arg -device --qemu-arg edu,addr=10,dma_mask=0xffffffffffffffff \
		--env VAS_BENCH_DEVICE=0000:00:10.0
	for module in $modules; do
		[ ! -e "$build/ko-$name/kernel/$module.ko" ] ||
			set -- "$@" --module "$build/ko-$name/kernel/$module.ko"
	done
	# shellcheck disable=SC2046 # a list of words
	"$scripts/vm.sh" "$@" --smp 1 --mem 2048 --limit 3000 --timeout 3600 \
		--env "VAS_BENCH_NAME=kernel-$name" --console "$build/console-$name" \
		$(machine_options) --run "$build/bench/kernel-bench$options" \
		>"$build/result-$name" || {
		sed "s/^/$name: /" "$build/result-$name" >&2
		status=1
	}
	show "$build/console-$name"
	measured=$((measured + 1))
}

parse "$@"
build_program
for kernel in $kernels; do
	if ! "$scripts/kernel.sh" fetch --headers "$kernel"; then
		echo "bench-kernel.sh: skipped $kernel: it cannot be had" >&2
	elif build_modules "$kernel"; then
		measure "$kernel"
	else
		echo "bench-kernel.sh: $kernel: the modules do not build" >&2
		status=1
	fi
done
[ "$measured" -gt 0 ] || [ "$status" != 0 ] || exit 77
exit "$status"
