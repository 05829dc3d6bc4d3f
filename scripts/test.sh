#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Run the tests: test.sh [SUITE...]. With no suite: all but vm-more and vm-debug (other kernels in
# QEMU), then unit, contract and hostile again under the address and undefined-behaviour sanitizers,
# and what has threads under the thread sanitizer; and a build of the benches. Ends with one line:
# N passed, N failed, N skipped.
set -eu

cd "$(dirname "$0")/.."
build=build
jobs=$(($(nproc) + 1)) # some tests do nothing but wait for a deadline
results=$build/test-results

# Results of the build folder $1, as $2, of the suites that follow (none: all).
run_meson()
{
	dir=$1 label=$2
	shift 2
	suites=
	for suite; do
		suites="$suites --suite $suite"
	done
	[ -n "$suites" ] || suites="--no-suite vm-debug --no-suite vm-more"
	# shellcheck disable=SC2086 # words
	meson test -C "$dir" --no-rebuild --num-processes "$jobs" --logbase "$label" \
		--timeout-multiplier "${slower:-1}" --print-errorlogs $suites >"$results/$label.out" 2>&1 || true
	cp "$dir/meson-logs/$label.json" "$results/" 2>/dev/null ||
		fail "$label" "meson ran no tests: see $results/$label.out"
	grep -E '^ *[0-9]+/[0-9]+ .*(FAIL|TIMEOUT|ERROR)|^(# .*|not ok .*|FAILED: .*)|^(WARNING|SUMMARY|==[0-9]+==ERROR): .*|^ +#[0-9]+ .*|runtime error: ' "$results/$label.out" |
		grep -vE '^# (seed|rule|[0-9]+ passed|[. s+F]+ )' || true
}

# A script of another folder whose last line counts: NAME COMMAND...
run_script()
{
	name=$1
	shift
	[ -x "$1" ] || return 0
	status=0
	"$@" >"$results/$name.out" 2>&1 || status=$?
	echo "$status" >"$results/$name.status"
	[ "$status" = 0 ] || [ "$status" = 77 ] || cat "$results/$name.out"
}

fail()
{
	echo "test: $1: $2" >&2
	echo 1 >"$results/$1.status"
	echo "$2" >"$results/$1.out"
}

step()
{
	printf '== %s (%s s)\n' "$1" "$(($(date +%s) - start))"
}

run_sanitized()
{
	# Leaks are looked for at each case's end; a report makes the case fail.
	# A thread that is cancelled leaves its alternate stack where ASan no longer knows it.
	ASAN_OPTIONS=detect_leaks=1:use_sigaltstack=0
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
	# A long history: a suppression needs both stacks.
	TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:history_size=5:suppressions=$PWD/tests/tsan.suppressions
	# Limits are for what hangs (tests/meson.build), and all takes longer here.
	slower=3 TEST_TIMEOUT=1800
	export ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS TEST_TIMEOUT
	step "unit contract hostile migrate under ASan and UBSan"
	if scripts/build.sh build-asan -Db_sanitize=address,undefined -Db_lundef=false; then
		run_meson build-asan asan unit contract hostile migrate
	else
		fail asan "does not build"
	fi
	step "unit contract torture under TSan"
	if scripts/build.sh build-tsan -Db_sanitize=thread -Db_lundef=false -Dc_args=-Wno-tsan; then
		run_meson build-tsan tsan unit contract torture
	else
		fail tsan "does not build"
	fi
}

all=
[ $# -gt 0 ] || all=yes
start=$(date +%s)
scripts/build.sh "$build"
rm -rf "$results"
mkdir -p "$results"

known=$(meson introspect "$build" --tests | python3 tests/summary.py --suites)
meson_suites=
for suite; do
	case " $known model " in
	*" $suite "*) ;;
	*)
		echo "test: there is no suite '$suite'; there are: $known model" >&2
		exit 2
		;;
	esac
	[ "$suite" = model ] || meson_suites="$meson_suites $suite"
done

if [ -n "$all" ] && ! scripts/kernel.sh fetch 6.1 >"$results/fetch.log" 2>&1; then
	echo "test: no stock kernel for the tests in QEMU, which skip: $(tail -n 1 "$results/fetch.log")"
fi
if [ -n "$all$meson_suites" ]; then
	step "tests${meson_suites:+:}$meson_suites"
	# shellcheck disable=SC2086 # words
	run_meson "$build" tests $meson_suites
fi
case "${all:+model} $*" in
*model*)
	step model
	run_script model scripts/model.sh
	;;
esac
if [ -n "$all" ]; then
	run_sanitized
	step "benches build"
	# More optimization makes warnings of its own, of the tests' code as well.
	scripts/bench.sh --build || fail bench "does not build"
fi
step results
exec python3 tests/summary.py "$results"
