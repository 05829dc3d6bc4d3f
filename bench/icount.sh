#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# icount.sh ICOUNT-PROGRAM [LIMIT]: how many instructions one translation takes, the loop around it
# included, in a vas of 1 region and in one of 32,000. Fails if either is over LIMIT (24) or the two are
# not the same; 77 where valgrind is missing.
set -eu

program=$1
limit=${2:-24}
few=100000
many=200000

command -v valgrind >/dev/null || {
	echo "icount: skipped: no valgrind"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Instructions executed in the loop's function, and in what it calls, for $2 translations.
instructions()
{
	valgrind --quiet --tool=callgrind --collect-atstart=no --toggle-collect='vas_peer_chase' \
		--callgrind-out-file="$work/out" "$program" "$1" "$2" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		return 1
	}
	sed -n 's/^summary: \([0-9]*\).*/\1/p;s/^totals: \([0-9]*\).*/\1/p' "$work/out" | head -n 1
}

# The difference of two runs leaves out what is done once. In hundredths, to see a fraction.
per_translation()
{
	a=$(instructions "$1" "$few")
	b=$(instructions "$1" "$many")
	echo $(((b - a) * 100 / (many - few)))
}

one=$(per_translation 1)
all=$(per_translation 32000)
printf 'instructions a translation, 1 region:       %d.%02d\n' $((one / 100)) $((one % 100))
printf 'instructions a translation, 32000 regions:  %d.%02d\n' $((all / 100)) $((all % 100))
if [ "$one" -eq 0 ] || [ "$one" -ne "$all" ] || [ "$one" -gt $((limit * 100)) ]; then
	echo "icount: should be the same and at most $limit"
	exit 1
fi
