#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Callers that are silent, slow, many, or say too much or nothing that is HTTP: others are answered meanwhile,
# and the server has an end to each.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

"$VAS" metrics --listen "unix:$tmp/sock" >"$tmp/url" 2>"$tmp/serve.err" &
server=$!
started="$started $server"
serves_or_ended()
{
	[ -s "$tmp/url" ] || ! kill -0 "$server"
}
wait_until serves_or_ended
! grep -q 'without libmicrohttpd' "$tmp/serve.err" || skip "$(cat "$tmp/serve.err")"
python3 - "$tmp/sock" "$server" <<-'END' || die "not as it must be: $(cat "$tmp/serve.err")"
	import os, select, socket, sys
	path, server = sys.argv[1:]
	GOOD = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

	def connect():
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(path) # (With a time limit it does not wait for room in the backlog.)
	    s.settimeout(300)
	    return s

	def said_until_closed(s):
	    said = b""
	    try:
	        while more := s.recv(65536):
	            said += more
	    except (ConnectionResetError, BrokenPipeError):
	        pass
	    return said

	def check():
	    s = connect()
	    s.sendall(GOOD)
	    said = said_until_closed(s)
	    assert said.startswith(b"HTTP/1.1 200 ") and said.endswith(b"# EOF\n"), said

	def tell(s, *pieces):
	    try:
	        for piece in pieces:
	            s.sendall(piece)
	    except (ConnectionResetError, BrokenPipeError):
	        pass
	    return s

	check()

	# Some never come to an end.
	silent = connect()
	slow, empty = tell(connect(), b"GET /metr"), tell(connect(), b"\r\n" * 100)
	check()

	# More than any request is: its head is refused as too large, and its end is not waited for.
	for head in (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * (1 << 20), b"GET /" + b"x" * (1 << 20),
	             b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 200000):
	    said = said_until_closed(tell(connect(), head))
	    assert b" 200 " not in said, said[:100]
	    check()

	# A body that is announced and never comes; what is not HTTP; one that goes at once.
	said = said_until_closed(tell(connect(), b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"))
	assert b" 405 " in said, said
	for noise in (b"\0" * 4096 + b"\r\n\r\n", bytes(range(256)) * 100, b"VAS\r\n\r\n"):
	    said = said_until_closed(tell(connect(), noise))
	    assert b" 200 " not in said, said[:100]
	    connect().close()
	    check()

	# The answer is one, whatever is asked after it.
	said = said_until_closed(tell(connect(), GOOD * 3))
	assert said.count(b"HTTP/1.1 200 ") == 1, said
	gone = [tell(connect(), GOOD) for _ in range(20)]
	for s in gone:
	    s.close()
	check()

	# The time of the slow ends, also if they say a little now and then.
	patience = select.poll()
	patience.register(silent, select.POLLIN)
	for _ in range(3000):
	    if patience.poll(100):
	        break
	    tell(slow, b"i")
	assert said_until_closed(silent) == b""
	assert b" 200 " not in said_until_closed(slow) + said_until_closed(empty)
	check()

	# Many: the oldest goes, and it has no more of them open than it means to.
	crowd = [connect() for _ in range(60)]
	for _ in range(4):
	    crowd += [connect() for _ in range(40)]
	    check()
	    nr = len(os.listdir(f"/proc/{server}/fd"))
	    assert nr < 64 + 16, nr
	assert said_until_closed(crowd[0]) == b""
	check()
END
end $server
is_equal $code 0
