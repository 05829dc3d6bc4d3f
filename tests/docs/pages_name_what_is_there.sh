#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# scripts/pages.py complains of what a page names and is not there. usage: SCRIPT SOURCE-DIR
set -eu

cd "$1"
git rev-parse --git-dir >/dev/null 2>&1 || {
	echo "skip: not a git checkout"
	exit 77
}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# found TEXT SENTENCE: a page with this line is complained of by this sentence
found()
{
	printf '%s\n' "$1" >"$temp/page.md"
	if said=$(scripts/pages.py "$temp/page.md") || ! printf '%s\n' "$said" | grep -qF "$2"; then
		echo "'$1' gives: $said"
		exit 1
	fi
}

# shellcheck disable=SC2016 # the backticks are the page's
{
	found '`core/log.c: vas_log_moved()`' 'core/log.c has no vas_log_moved()'
	found '`core/logs.c`' 'there is no core/logs.c'
	found '`slot.pml: Nobody()`' 'model/slot.pml has no Nobody()'
	found 'see [there](nowhere.md)' 'the link to nowhere.md leads nowhere'
	found "$(printf '%0101d' 0)" '101 columns, 100 are the most'

	# A function that has moved is followed.
	echo '`core/map.c: vas_log_move()`' >"$temp/page.md"
	scripts/pages.py --fix "$temp/page.md"
	grep -qxF '`core/log.c: vas_log_move()`' "$temp/page.md"
}

# vas-security(7) says which test shows each line.
sed -n '/^# TESTS/,/^# SEE ALSO/p' man/vas-security.7.scd | grep -o '[a-z_]*\(/[a-z_]*\)\+' >"$temp/tests"
[ "$(wc -l <"$temp/tests")" -gt 20 ]
while read -r name; do
	ls tests/"$name".* >/dev/null || exit 1
done <"$temp/tests"

scripts/pages.py docs/design/*.md
