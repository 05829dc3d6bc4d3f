#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Build vas.ko and its users for several kernels, boot each of those in a machine, and run the tests
# there. The machines' logs are checked after each test: see vm.sh.
#
# exit status: 0 = all passed, 1 = something failed, 77 = nothing could be run
# needs: meson, ninja; and what vas-ko.sh and vm.sh need
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$scripts")
build=${VAS_KERNEL_BUILD:-$top/build-kernel}
all='binding copies maps lists events driving dirty foo blk blk_hostile migrate hotplug leaks contract dma echo'
modules='vas test/vas_test example/vas_example blk/vas_blk dma/vas_dma'
debug='' only='' kernels='' passed=0 failed=0 skipped=0

usage()
{
	cat <<-END
	usage: test-kernel.sh [--debug] [--only TEST]... [NAME...]

	--debug      on the debug kernel, which looks for bugs; with NAMEs: on that one, too
	--only TEST  not all tests; may be repeated. There are:
	$(echo "$all" | fold -s -w 70 | sed 's/^/             /')

	NAME         a kernel as kernel.sh names it (default: 6.1 6.12 newest)

	VAS_KERNEL_BUILD  folder to build in (now: $build)
	END
}

parse()
{
	while [ $# -gt 0 ]; do
		case $1 in
		--debug) debug=1 ;;
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
	[ -z "$debug" ] || kernels="$kernels debug"
}

# The programs are the same for all kernels.
build_programs()
{
	[ -e "$build/build.ninja" ] || meson setup --buildtype debugoptimized "$build" "$top" >&2
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

# Arguments of vm.sh. The checkers of the debug kernel take their time.
machine_options()
{
	echo --smp 2 --mem 2048 --console "$build/console-$1"
	echo --qemu-arg -device --qemu-arg edu,dma_mask=0xffffffffffffffff
	case $1 in
	debug) echo --limit 1500 --timeout 5400 --env TEST_TIMEOUT=900 --env TEST_HOTPLUG_ROUNDS=300 ;;
	*) echo --limit 600 --timeout 1800 --env TEST_TIMEOUT=120 --with-kvm ;;
	esac
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
	for test in ${only:-$all}; do
		[ ! -e "$build/tests/kernel/kernel_$test" ] ||
			set -- "$@" --run "$build/tests/kernel/kernel_$test"
	done
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

parse "$@"
for tool in meson ninja make; do
	command -v $tool >/dev/null || {
		echo "skip: $tool is missing; please install it"
		exit 77
	}
done
build_programs
for kernel in $kernels; do
	if ! "$scripts/kernel.sh" fetch --headers "$kernel"; then
		count skip "$kernel # it cannot be had"
	elif ! build_modules "$kernel"; then
		count 'not ok' "$kernel # the modules do not build cleanly"
	else
		run "$kernel"
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] || exit 1
[ "$passed" -gt 0 ] || exit 77
