#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A field of a slot, a pin, a binder or a tracker is nothing that a file outside of core/protocol/ can
# name, whatever else it includes.
#
# usage: fields_of_entries_do_not_compile.sh TOP CC...
set -eu

cd "$1"
shift
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# All headers there are for it: the public ones, core's but the one with the fields, lib's.
find core lib -name '*.h' ! -path core/protocol/entries.h | sort | sed 's/.*/#include "&"/' >"$temp/all.h"
find include/vas -name '*.h' | sed 's,include/\(.*\),#include <\1>,' >>"$temp/all.h"

bad=0
for field in vas_slot.generation vas_slot.tag vas_slot.tid vas_binder.state vas_binder.pid \
	vas_binder.claims vas_binder.comm vas_pin.state vas_pin.tag vas_pin.gpa vas_pin.generation \
	vas_tracker_entry.state vas_tracker_entry.tag vas_tracker_entry.epoch; do
	for header in "$temp/all.h" "$PWD/core/protocol/entries.h"; do
		printf '#include "%s"\n__typeof__(((struct %s *)0)->%s) *f;\n' \
			"$header" "${field%.*}" "${field#*.}" >"$temp/use.c"
		status=0
		"$@" -std=gnu11 -D_GNU_SOURCE -I. -Iinclude -fsyntax-only "$temp/use.c" 2>"$temp/why" ||
			status=$?
		case $header:$status in
		*/entries.h:0) ;;
		*/all.h:1) grep -qE 'undefined type|incomplete' "$temp/why" || {
			echo "not ok - $field is refused for another reason:"
			cat "$temp/why"
			bad=1
		} ;;
		*)
			echo "not ok - $field with $header: the compiler ends with $status"
			cat "$temp/why"
			bad=1
			;;
		esac
	done
done
[ $bad = 0 ] || exit 1
echo "ok - entries are opaque"
