#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# xinterface.sh PAGE: prints each piece of code and each test that the page names, as `file: name()`,
# `file: test` or `file`, and that is not there. Fails if there is one, or if the page names none.
set -eu

page=$1
failed=0
names=$(mktemp)
trap 'rm -f "$names"' EXIT

# is_there FILE NAME: defined there, or a test case there
is_there()
{
	case $2 in
	*'()') grep -qE "^([a-z].*[ *])?${2%'()'}\(" "$1" ;;
	*) grep -qF "TEST($2)" "$1" ;;
	esac
}

# shellcheck disable=SC2016 # the backticks are the page's
grep -oE '`[A-Za-z0-9_/.-]+\.[a-z]+(: [A-Za-z0-9_]+(\(\))?)?`' "$page" | tr -d '`' | sort -u >"$names"
[ -s "$names" ] || {
	echo "$page names nothing"
	exit 1
}
while IFS=' ' read -r file name; do
	file=${file%:}
	case $file in
	*/*) ;;
	*) continue ;;
	esac
	if [ ! -f "$file" ]; then
		echo "$page: no $file"
		failed=1
	elif [ -n "$name" ] && ! is_there "$file" "$name"; then
		echo "$page: no $name in $file"
		failed=1
	fi
done <"$names"
exit $failed
