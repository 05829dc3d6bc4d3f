#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Fuzz for so many seconds a target, or for so many inputs: fuzz.sh [SECONDS|NUMBERx [TARGET...]].
# The corpus grows in build-fuzz/corpus; what crashes is kept in build-fuzz/crashes, and how to run
# it again is printed.
set -eu

cd "$(dirname "$0")/.."
amount=${1:-60}
[ $# -eq 0 ] || shift
case ${amount%x} in
'' | *[!0-9]*)
	echo "usage: ./dev fuzz [SECONDS|NUMBERx [TARGET...]]" >&2
	exit 2
	;;
esac
# Where a number counts, no time goes into what the next input should be: short ones, of no choice.
case $amount in
*x) how="-runs=${amount%x} -entropic=0 -reduce_inputs=0 -reload=0 -detect_leaks=0 -max_len=512" ;;
*) how="-max_total_time=$amount -max_len=8192" ;;
esac
targets='adopt bind device joint message recv snapshot stream transport vhost_user vhost_user_front virtqueue'
# shellcheck disable=SC2086 # a list of words
[ $# -gt 0 ] || set -- $targets
for target; do
	case " $targets " in
	*" $target "*) ;;
	*)
		echo "fuzz: there is no target '$target'; there are: $targets" >&2
		exit 2
		;;
	esac
done

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
# shellcheck disable=SC2046 # a list of words
ninja -C build-fuzz --quiet $(printf 'tests/fuzz/fuzz_%s ' "$@") tests/fuzz/seeds

# What was freed is kept for an input or two, and not until it has left the caches.
ASAN_OPTIONS=detect_leaks=1:use_sigaltstack=0:handle_sigbus=0:quarantine_size_mb=4:malloc_context_size=4
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export ASAN_OPTIONS UBSAN_OPTIONS

failed=0
for target; do
	program=build-fuzz/tests/fuzz/fuzz_$target
	corpus=build-fuzz/corpus/$target
	crashes=build-fuzz/crashes/$target
	mkdir -p "$corpus" "$crashes"
	build-fuzz/tests/fuzz/seeds "$target" "$corpus"
	log=build-fuzz/$target.log
	echo "== $target, $amount"
	# shellcheck disable=SC2086 # words
	if "$program" $how -timeout=120 -rss_limit_mb=4096 -print_final_stats=1 \
		-artifact_prefix="$crashes/" "$corpus" >"$log" 2>&1; then
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
