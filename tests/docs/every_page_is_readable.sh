#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Every manual page that was built has a NAME and renders without a complaint. usage: SCRIPT BUILD-DIR
set -eu

build=$1
if ! command -v groff >/dev/null; then
	echo "skip: groff is not installed"
	exit 77
fi
ls "$build"/man/vas-format.5 "$build"/man/vas_create.3 >/dev/null
for page in "$build"/man/*.[1-8]; do
	# A page that is another name of a page.
	! head -n 1 "$page" | grep -q '^\.so ' || continue
	# A long name in a narrow column of a table is no fault.
	complaints=$(LC_ALL=C.UTF-8 groff -t -man -Tutf8 -ww -z "$page" 2>&1 |
		grep -vE "(cannot|can't) (adjust|break) line" || true)
	[ -z "$complaints" ] || {
		echo "$page: $complaints"
		exit 1
	}
	grep -q '^\.SH NAME' "$page"
done
