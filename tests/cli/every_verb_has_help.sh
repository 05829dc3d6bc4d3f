#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# 'vas VERB --help' and 'vas help VERB' say the same, on stdout, and begin with how it is called.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

expect 0 --help
out_has "usage: vas VERB"
verbs=$(sed -n 's/^  \([a-z]*\)  *[A-Z].*/\1/p' "$tmp/out")
is_equal "$(echo "$verbs" | grep -c .)" "$(echo "$verbs" | sort -u | grep -c .)"
echo "$verbs" | grep -qx find || die "no verbs in the help"
for verb in $verbs; do
	expect 0 "$verb" --help
	out_has "usage: vas $verb"
	err_is ""
	cp "$tmp/out" "$tmp/help"
	expect 0 help "$verb"
	cmp "$tmp/help" "$tmp/out"
	expect 0 "$verb" -h
	cmp "$tmp/help" "$tmp/out"
done
expect 0 --version
out_has "vas "
