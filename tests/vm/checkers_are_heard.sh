#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# What the checkers of the debug kernel find in a module fails the test that made them find it.
#
# usage: checkers_are_heard.sh MISBEHAVE   (the program of guest/misbehave.c)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
scripts=$here/../../scripts
program=$1
bug=/sys/module/faulty/parameters/bug
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

if ! "$scripts/kernel.sh" path debug headers >"$temp/why" 2>&1; then
	echo "skip: $(cat "$temp/why")"
	exit 77
fi
cp -r "$here/guest/faulty" "$temp/faulty"
"$scripts/kernel.sh" make debug "$temp/faulty" modules >"$temp/log" 2>&1 || {
	cat "$temp/log"
	exit 1
}

# run NAME... : a machine in which these bugs are committed; the results are in $temp/out
run()
{
	set -- --module "$temp/faulty/faulty.ko" "$@"
	"$scripts/vm.sh" --kernel debug --mem 1024 --limit 120 --timeout 400 "$@" >"$temp/out" 2>&1 || :
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

run --run "$program pass" --run "$program write $bug sleep" --run "$program write $bug lock" \
	--run "$program write $bug leak"
heard '^ok misbehave pass' '^# BUG: sleeping function called' "^not ok misbehave write $bug sleep" \
	'possible circular locking' "^not ok misbehave write $bug lock" '^ok unload faulty' \
	'suspected memory leak' '^not ok leaks'

run --run "$program write $bug free"
heard "^not ok misbehave write $bug free # the kernel died" 'KASAN: .*use-after-free'
echo "ok - sleeping, locking, leaking and using freed memory are heard"
