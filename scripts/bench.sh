#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Builds the benches for speed and runs them. See bench/README.md.
set -eu

usage()
{
	cat <<'EOF'
Usage: bench.sh [NAME...] [OPTION...]

Builds and runs the benches NAME... (default: all of them), for example

    bench.sh translate --case '*/64/*'

  --svg DIR  also draw the results there, as NAME-*.svg (needs gnuplot)
  --build    only build them, and all else as they are: without debugging, with more optimization
  --help     print this, then the benches' own options

All other options go to each bench.
EOF
}

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${VAS_BENCH_BUILD:-$root/build-bench}
names=
svg=
help=
only_build=

build_benches()
{
	test -f "$build/build.ninja" ||
		meson setup --buildtype=release -Dwerror=true -Dbench=true "$build" "$root" >/dev/null
	ninja -C "$build" >"$build/bench.log" || {
		cat "$build/bench.log" >&2
		exit 1
	}
}

known()
{
	for program in "$build"/bench/bench-*; do
		test -x "$program" -a -f "$program" && echo "${program##*/bench-}"
	done
}

# The names come first, so that an option's value is not taken for one.
while [ $# -gt 0 ]; do
	case $1 in
	-*) break ;;
	*) names="$names $1" ;;
	esac
	shift
done

# What is for this script is taken out of the options, and the rest kept in order.
remaining=$#
while [ "$remaining" -gt 0 ]; do
	option=$1
	shift
	remaining=$((remaining - 1))
	case $option in
	--svg)
		test "$remaining" -gt 0 || {
			echo "bench.sh: --svg needs a folder" >&2
			exit 2
		}
		svg=$1
		shift
		remaining=$((remaining - 1))
		;;
	--help) help=1 ;;
	--build) only_build=1 ;;
	*) set -- "$@" "$option" ;;
	esac
done

build_benches
[ -z "$only_build" ] || exit 0
: "${names:=$(known | tr '\n' ' ')}"
if [ -n "$help" ]; then
	usage
	set -- --help
fi
if [ -n "$svg" ]; then
	mkdir -p "$svg"
	set -- "$@" --json
fi

# Those of Linux guests boot one.
case " $names " in
*" clone "* | *" send "* | *" strict "*) [ -n "$help" ] || "$root/scripts/kernel.sh" fetch 6.1 >&2 ;;
esac
case " $names " in
*" strict "*) [ -n "$help" ] || "$root/scripts/kernel.sh" fetch 6.12 newest >&2 ;;
esac

status=0
for name in $names; do
	program=$build/bench/bench-$name
	test -x "$program" || {
		echo "bench.sh: no bench '$name'; there are: $(known | tr '\n' ' ')" >&2
		exit 2
	}
	if [ -n "$svg" ]; then
		"$program" "$@" >"$svg/$name.json" || status=$?
		cat "$svg/$name.json"
		"$root/bench/plot.sh" "$svg/$name.json" "$svg" >&2 || status=$?
	else
		"$program" "$@" || status=$?
	fi
done
exit "$status"
