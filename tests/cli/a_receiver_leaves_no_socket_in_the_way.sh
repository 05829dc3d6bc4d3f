#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A receiver that is told to end takes its socket along; what one that was killed leaves is replaced; what
# somebody listens at, and what is no socket, is left alone.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

listen()
{
	: >"$tmp/receive.err" # what the last one said is no sign of this one
	"$VAS" receive "unix:$tmp/sock" >"$tmp/ref" 2>"$tmp/receive.err" &
	pid=$!
	started="$started $pid"
	wait_until grep -q waiting "$tmp/receive.err"
}

for signal in TERM HUP; do
	listen
	code=0
	kill -$signal "$pid"
	wait "$pid" || code=$?
	[ "$code" -gt 128 ] || die "SIG$signal: exit code $code"
	[ ! -e "$tmp/sock" ] || die "SIG$signal left the socket"
done

listen
kill -KILL "$pid"
wait "$pid" || true
[ -S "$tmp/sock" ] || die "a process that was killed has tidied up"
listen
grep -q "was left behind" "$tmp/receive.err" || die "$(cat "$tmp/receive.err")"

expect 3 receive --wait 1 "unix:$tmp/sock"
err_has "in use"
kill -0 "$pid" || die "the first receiver is gone"
end "$pid"

echo precious >"$tmp/sock"
expect 3 receive --wait 1 "unix:$tmp/sock"
is_equal "$(cat "$tmp/sock")" precious
