#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# PID/FD comes on stdout as soon as the vas is there; each signal that asks to end does so with code 0.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

for signal in TERM INT HUP QUIT; do
	create "$mine" --memory 1M
	is_equal "${ref%/*}" "$pid"
	expect 0 info "$ref"
	kill -s $signal "$pid"
	code=0
	wait "$pid" || code=$?
	is_equal $code 0 "after SIG$signal"
	expect 1 info "$mine"
done

: >"$tmp/ref"
nohup "$VAS" create --name "$mine" --memory 1M >"$tmp/ref" 2>/dev/null &
pid=$!
started="$started $pid"
wait_until test -s "$tmp/ref"
kill -s HUP "$pid"
sleep 0.2 # for it to end, if it did
expect 0 info "$mine"
kill -s TERM "$pid"
code=0
wait "$pid" || code=$?
is_equal $code 0 "after SIGHUP that was ignored"
