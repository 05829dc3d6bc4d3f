#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# What a kernel's checkers find in a module fails the test that made them find it.
#
# usage: checkers_are_heard.sh debug|kcsan MISBEHAVE   (the program of guest/misbehave.c)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
scripts=$here/../../scripts
kernel=$1 program=$2
bug=/sys/module/faulty/parameters/bug
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

if ! "$scripts/kernel.sh" path "$kernel" headers >"$temp/why" 2>&1; then
	echo "skip: $(cat "$temp/why")"
	exit 77
fi
cp -r "$here/guest/faulty" "$temp/faulty"
"$scripts/kernel.sh" make "$kernel" "$temp/faulty" modules >"$temp/log" 2>&1 || {
	cat "$temp/log"
	exit 1
}

# run NAME... : a machine in which these bugs are committed; the results are in $temp/out
run()
{
	set -- --module "$temp/faulty/faulty.ko" "$@"
	"$scripts/vm.sh" --kernel "$kernel" --mem 1024 --limit 600 --timeout 2400 "$@" >"$temp/out" 2>&1 || :
}

# heard PATTERN... : the report has a line for each, in any order
heard()
{
	for pattern; do
		grep -q "$pattern" "$temp/out" || {
			echo "not ok - no '$pattern' in:"
			cat "$temp/out"
			exit 1
		}
	done
}

# What kills the kernel: dies BUG PATTERN
dies()
{
	run --run "$program write $bug $1"
	heard "^not ok misbehave write $bug $1 # the kernel died" "$2"
}

try_debug()
{
	run --run "$program pass" --run "$program write $bug sleep" \
		--run "$program write $bug lock" --run "$program write $bug leak"
	heard '^ok misbehave pass' '^# BUG: sleeping function called' \
		"^not ok misbehave write $bug sleep" 'possible circular locking' \
		"^not ok misbehave write $bug lock" '^ok unload faulty' \
		'suspected memory leak' '^not ok leaks'
	dies free 'KASAN: .*use-after-free'
	dies shift 'UBSAN: shift-out-of-bounds'
	dies work 'ODEBUG: free active .*timer'
	echo "ok - sleeping, locking, leaking, freed memory and work, bad shifts are heard"
}

# The kernel lives on, and what others race in counts for nothing.
try_kcsan()
{
	run --run "$program pass" --run "$program write $bug race" --run "$program pass again"
	heard '^ok misbehave pass$' '^# BUG: KCSAN: data-race in .*\[faulty\]' \
		"^not ok misbehave write $bug race # the kernel logged" '^ok misbehave pass again' \
		'^ok unload faulty'
	echo "ok - races are heard"
}

"try_$kernel"
