#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Fuzz for so many seconds a target: fuzz.sh [SECONDS [TARGET...]]. The corpus grows in
# build-fuzz/corpus; what crashes is kept in build-fuzz/crashes, and how to run it again is printed.
set -eu

cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
case $seconds in
'' | *[!0-9]*)
	echo "usage: ./dev fuzz [SECONDS [TARGET...]]" >&2
	exit 2
	;;
esac
targets='adopt bind joint message recv snapshot stream transport vhost_user vhost_user_front virtqueue'
# shellcheck disable=SC2086 # a list of words
[ $# -gt 0 ] || set -- $targets

command -v clang >/dev/null || {
	echo "fuzz: clang is not installed (./dev setup)" >&2
	exit 77
}
export CC=clang CXX=clang++
if ! [ -e build-fuzz/build.ninja ]; then
	meson setup build-fuzz -Dwerror=true -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
		-Dc_args=-fsanitize=fuzzer-no-link >build-fuzz.log 2>&1 || {
		cat build-fuzz.log >&2
		exit 1
	}
	rm -f build-fuzz.log
fi
# shellcheck disable=SC2046,SC2086 # lists of words
ninja -C build-fuzz --quiet $(printf 'tests/fuzz/fuzz_%s ' $targets) tests/fuzz/seeds

ASAN_OPTIONS=detect_leaks=1:use_sigaltstack=0:handle_sigbus=0
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export ASAN_OPTIONS UBSAN_OPTIONS

failed=0
for target; do
	program=build-fuzz/tests/fuzz/fuzz_$target
	corpus=build-fuzz/corpus/$target
	crashes=build-fuzz/crashes/$target
	[ -x "$program" ] || {
		echo "fuzz: there is no target '$target'; there are: $targets" >&2
		exit 2
	}
	mkdir -p "$corpus" "$crashes"
	build-fuzz/tests/fuzz/seeds "$target" "$corpus"
	log=build-fuzz/$target.log
	echo "== $target, $seconds s"
	if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -max_len=8192 \
		-print_final_stats=1 -artifact_prefix="$crashes/" "$corpus" >"$log" 2>&1; then
		grep -E '^(stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)|#.*DONE)' "$log"
		continue
	fi
	failed=1
	tail -n 60 "$log"
	grep -o "$crashes/[^ ]*" "$log" | sort -u | while read -r input; do
		echo "fuzz: $target fails; again: $program $input"
	done
done
[ $failed = 0 ] && echo "fuzz: ok"
exit $failed
