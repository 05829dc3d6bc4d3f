#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Who connects and is no stream is sent away; the stream that comes then, over several channels, is received.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

# strangers: one that speaks of something else, one that has only begun, one that is gone at once
strangers()
{
	python3 - "$tmp/sock" <<-'END'
	import socket, sys
	def connect():
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(sys.argv[1])
	    return s
	browser, shy, gone = connect(), connect(), connect()
	browser.send(b'GET / HTTP/1.0\r\n\r\n')
	shy.send(b'VA')
	gone.close()
	try:
	    assert browser.recv(1) == b''
	except ConnectionResetError:
	    pass
	END
}

create "$mine" --memory 16M
expect 0 write "$ref" 0x123000 --string moved
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
kill -KILL "$pid"
wait "$pid" || true

: >"$tmp/ref"
"$VAS" receive --channels 3 "unix:$tmp/sock" >"$tmp/ref" 2>"$tmp/receive.err" &
pid=$!
started="$started $pid"
wait_until test -S "$tmp/sock"
strangers
# A stream of one channel is none of three.
run_vas send fd:9 "unix:$tmp/sock"
is_equal "$code" 3
expect 0 send --channels 3 fd:9 "unix:$tmp/sock"
wait_until is_created
ref=$(cat "$tmp/ref")
[ -n "$ref" ] || die "$(cat "$tmp/receive.err")"
expect 0 read "$ref" 0x123000 5 --raw
out_is moved
grep -q 'no part of the stream' "$tmp/receive.err" || die "$(cat "$tmp/receive.err")"
grep -q 'see --channels' "$tmp/receive.err" || die "$(cat "$tmp/receive.err")"
[ ! -e "$tmp/sock" ] || die "the socket is still there"

# Nobody else is waited for for ever, if so wanted.
expect 3 receive --wait 1 "unix:$tmp/sock"
err_has "no stream of 1 channel has begun within 1 s"
