#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# 'vas adopt' owns a vas whose owner was killed, does what an owner does, and leaves it as it was found.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

has_owner()
{
	run_vas info "$mine"
	grep -qx "owner       process $1.*" "$tmp/out"
}

has_no_owner()
{
	run_vas info "$mine"
	grep -q "^owner  *none: it can be adopted" "$tmp/out"
}

# adopt: in the background; $adopter, and $adopted (PID/FD)
adopt()
{
	: >"$tmp/adopted"
	"$VAS" adopt "$mine" >"$tmp/adopted" 2>"$tmp/adopt.err" &
	adopter=$!
	started="$started $adopter"
	wait_until test -s "$tmp/adopted"
	adopted=$(cat "$tmp/adopted")
}

expect 2 adopt
err_has "which vas? vas adopt NAME"
expect 2 adopt one two
expect 1 adopt "$mine"
err_has "no vas is named '$mine'"

# An owner that lives keeps it; for reading only it cannot be had.
create "$mine" --memory 1M
expect 3 adopt "$mine"
err_has "has a living owner (pid $pid,"
expect 0 write "$mine" 0x1000 --string "of the first"
exec 4<>"/proc/$pid/fd/${ref#*/}"
exec 5<"/proc/$pid/fd/${ref#*/}"
kill -KILL "$pid"
wait "$pid" || :
wait_until has_no_owner
expect 3 adopt fd:5
wait_until has_no_owner

adopt
is_equal "${adopted%/*}" "$adopter"
has_owner "$adopter" || die "not the owner: $(cat "$tmp/out")"
expect 3 adopt "$mine"
err_has "has a living owner (pid $adopter,"
# The memory is its own, and is lent.
exec 4<&- 5<&-
expect 0 read "$mine" 0x1000 12 --raw
out_is "of the first"
expect 0 snapshot "$mine" "$tmp/saved"
has_owner "$adopter" || die "not given back: $(cat "$tmp/out")"
expect 0 top --once --track "$mine"

# Asked to end, it leaves the vas to whoever has it open.
exec 4<>"/proc/$adopter/fd/${adopted#*/}"
end "$adopter"
is_equal "$code" 0 "$(cat "$tmp/adopt.err")"
is_equal "$(cat "$tmp/adopt.err")" ""
has_no_owner || die "$(cat "$tmp/out")"
expect 0 read fd:4 0x1000 12 --raw
out_is "of the first"

# Killed, likewise; moved away, it ends.
adopt
kill -KILL "$adopter"
wait "$adopter" || :
wait_until has_no_owner
adopt
exec 4<&-
: >"$tmp/ref"
"$VAS" receive "unix:$tmp/socket" >"$tmp/ref" 2>"$tmp/receive.err" &
pid=$!
started="$started $pid"
wait_until grep -q waiting "$tmp/receive.err"
expect 0 send "$adopted" "unix:$tmp/socket"
code=0
wait "$adopter" || code=$?
is_equal "$code" 0 "$(cat "$tmp/adopt.err")"
wait_until is_created
expect 0 read "$(cat "$tmp/ref")" 0x1000 12 --raw
out_is "of the first"
end "$pid"
[ -z "$(ls "$VAS_RUN_DIR")" ] || die "left: $(ls "$VAS_RUN_DIR")"
