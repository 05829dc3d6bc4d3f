#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A full disk is told, not swallowed.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
[ -c /dev/full ] || skip "there is no /dev/full"

create "$mine" --memory 16M
"$VAS" fill "$mine" 0 8M 1
for verb in "ls" "ls --json" "info $mine" "map $mine" "read $mine 0 4K" "dump $mine" "--help"; do
	code=0
	# shellcheck disable=SC2086 # words
	"$VAS" $verb >/dev/full 2>"$tmp/err" || code=$?
	is_equal $code 3 "vas $verb"
	ran="vas $verb"
	err_has "No space left on device"
done
expect 3 read "$mine" 0 4K -o /dev/full
err_has "/dev/full: cannot write it: No space left on device"
