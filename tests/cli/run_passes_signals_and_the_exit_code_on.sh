#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Of any VMM: it gets the fd, its signals, and its exit code is that of vas run.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

# shellcheck disable=SC2016 # for the shell that is the command
expect 42 run -q --memory 1M -- sh -c '
	[ "$1" = "$VAS_FD" ] || exit 1
	"$0" write "fd:$1" 0 --string x && exit 42' "$VAS" @FD@
expect 137 run -q --memory 1M -- sh -c 'kill -KILL $$'
err_has "sh was ended by signal 9 (Killed)"
expect 127 run -q --memory 1M -- "$tmp/nothing"
expect 125 run -q --region 1:4K -- true
err_has "region at 0x1"

for signal in TERM INT HUP QUIT USR1 USR2; do
	rm -f "$tmp/ready"
	"$VAS" run -q --memory 1M -- python3 -c '
import signal, sys
signal.signal(getattr(signal, "SIG" + sys.argv[1]), lambda *_: sys.exit(33))
open(sys.argv[2], "w").close()
signal.pause()' $signal "$tmp/ready" &
	pid=$!
	started="$started $pid"
	wait_until test -e "$tmp/ready"
	kill -s $signal $pid
	code=0
	wait $pid || code=$?
	is_equal $code 33 "SIG$signal"
done
