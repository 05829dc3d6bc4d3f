#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Each command of vas-tutorial(7) does what the page says that it does: tutorial_can_be_typed.sh PAGE
set -eu -m # job control: "kill %%"
page=$1
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
HUP_IS_DEFAULT=1 . "$(dirname "$0")/../cli/lib.sh"
need qemu-system-x86_64

# "vas" is the command under test, and its vas are named so that no other on this host is meant.
mkdir "$tmp/bin" "$tmp/work"
ln -s "$(command -v "$VAS")" "$tmp/bin/vas"
PATH=$tmp/bin:$PATH
sed -e '/^```/,/^```/!d' -e "s/\bdemo\b/$mine-demo/g; s/\bguest\b/$mine-guest/g" "$page" >"$tmp/blocks"
cd "$tmp/work"

# What differs from run to run: PID/FD, and what "..." leaves open.
matches()
{
	local line pattern= printed

	while IFS= read -r line; do
		case $line in
		...) pattern+="*" ;;
		[0-9]*/[0-9]*) pattern+="*/*"$'\n' ;;
		*...) pattern+="$(printf %q "${line%...}")*" ;;
		*) pattern+="$(printf %q "$line")"$'\n' ;;
		esac
	done <"$tmp/expected"
	printed=$(cat "$tmp/printed")
	# shellcheck disable=SC2053 # a pattern
	[[ $printed == ${pattern%$'\n'} ]]
}

# Processes that a signal ends at the same time print into each other's lines.
count_ends()
{
	grep -o 'terminating on signal' "$1" | wc -l
}

is_said()
{
	[ "$command" != "kill %%" ] || [ "$(count_ends "$tmp/expected")" -lt 2 ] || {
		[ "$(count_ends "$tmp/printed")" = "$(count_ends "$tmp/expected")" ]
		return
	}
	matches
}

# As far as it is by the time that somebody has typed the next line.
has_booted()
{
	vas resume "$mine-guest" && vas find "$mine-guest" SeaBIOS --max 1
}

is_up()
{
	[ "$(wc -l <"$tmp/printed")" -ge "$(wc -l <"$tmp/expected")" ] &&
		{ [[ $command != *qemu* ]] || [[ $command == *clone* ]] || has_booted; }
}

type_it()
{
	[ -n "$command" ] || return 0
	echo "\$ $command"
	: >"$tmp/printed"
	case $command in
	"kill %%")
		kill %%
		wait %% || true
		;;
	*"&")
		eval "${command%&} >>\"\$tmp/printed\" 2>&1 &"
		started="$started $!"
		wait_until is_up
		;;
	*) eval "$command" >"$tmp/printed" 2>&1 || die "$command: $(cat "$tmp/printed")" ;;
	esac
	is_said || die "$command: printed '$(cat "$tmp/printed")', and the page says '$(cat "$tmp/expected")'"
}

nr=0 command=
: >"$tmp/expected"
while IFS= read -r line <&5; do
	case $line in
	'```' | '$ '*)
		type_it
		command=
		: >"$tmp/expected"
		;;
	*) printf '%s\n' "$line" >>"$tmp/expected" ;;
	esac
	case $line in '$ '*) command=${line#??} nr=$((nr + 1)) ;; esac
done 5<"$tmp/blocks"
[ "$nr" -gt 20 ] || die "only $nr commands were found"
