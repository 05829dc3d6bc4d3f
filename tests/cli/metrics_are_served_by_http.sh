#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Who asks gets the metrics: of this host alone unless told otherwise, by TCP or a Unix socket, and not
# older than was asked for.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

# serve OPTION...: in the background; $server is its process, $url the first place where it listens
serve()
{
	: >"$tmp/urls"
	"$VAS" metrics "$@" >"$tmp/urls" 2>"$tmp/serve.err" &
	server=$!
	started="$started $server"
	wait_until serves_or_ended
	! grep -q 'without libmicrohttpd' "$tmp/serve.err" || skip "$(cat "$tmp/serve.err")"
	url=$(head -n 1 "$tmp/urls")
	[ -n "$url" ] || die "vas metrics $*: $(cat "$tmp/serve.err")"
}

serves_or_ended()
{
	[ -s "$tmp/urls" ] || ! kill -0 "$server"
}

# ask METHOD URL: the status, then header fields that we care for; the body goes to $tmp/out
ask()
{
	ran="$1 $2"
	python3 - "$1" "$2" "$tmp/out" <<-'END' || die "$ran: no answer"
		import http.client, socket, sys, urllib.parse
		method, url, out = sys.argv[1:]
		at = urllib.parse.urlsplit(url)
		path = at.path
		if at.scheme == "unix":
		    path = "/metrics"
		    connection = http.client.HTTPConnection("localhost", timeout=300)
		    connection.sock = socket.socket(socket.AF_UNIX)
		    connection.sock.connect(at.path)
		else:
		    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=300)
		connection.request(method, path)
		answer = connection.getresponse()
		open(out, "wb").write(answer.read())
		print(answer.status, answer.getheader("Content-Type"), answer.getheader("Allow") or "")
	END
}

page="200 text/plain; version=0.0.4; charset=utf-8 "

create "$mine" --memory 64M
serve --listen 0
! grep -vE '^http://(127\.0\.0\.1|\[::1\]):[1-9][0-9]*/metrics$' "$tmp/urls" || die "strangers are let in"
is_equal "$(ask GET "$url")" "$page"
grep -qE "^vas_size_bytes\{name=\"$mine\",uuid=\"[0-9a-f-]*\",holder=\"$ref\"\} 67108864$" "$tmp/out" ||
	die "$ran: $(cat "$tmp/out")"
is_equal "$(tail -n 1 "$tmp/out")" "# EOF"
is_equal "$(ask HEAD "$url")" "$page"
out_is ""
is_equal "$(ask POST "$url")" "405 text/plain GET, HEAD"
is_equal "$(ask GET "${url%metrics}")" "404 text/plain "
out_is "there is only /metrics"
port=${url##*:}
expect 3 metrics --listen "${port%/metrics}"
err_has "cannot listen at tcp:localhost:${port%/metrics}"
end $server
is_equal $code 0

# What a vas is called, and when it comes, is of no matter; only those that are named are told of.
serve --listen 127.0.0.1:0 --delay 0.1 "$mine" "$mine-later"
is_equal "$(ask GET "$url")" "$page"
! grep -q "$mine-later" "$tmp/out" || die "$ran: $(cat "$tmp/out")"
create "$mine-later" --memory 1M
has_come()
{
	ask GET "$url" && grep -q "^vas_size_bytes.*$mine-later" "$tmp/out"
}
wait_until has_come
is_equal "$(grep -c ^vas_size_bytes "$tmp/out")" 2
end $server
is_equal $code 0

# However often somebody asks: as old as was asked for.
serve --listen "unix:$tmp/sock" --delay 3600
is_equal "$url" "unix:$tmp/sock"
is_equal "$(ask GET "$url")" "$page"
cp "$tmp/out" "$tmp/first"
create "$mine-last" --memory 1M
is_equal "$(ask GET "$url")" "$page"
cmp -s "$tmp/first" "$tmp/out" || die "$ran: it has looked again"
end $server
is_equal $code 0
[ ! -e "$tmp/sock" ] || die "the socket is still there"

expect 2 metrics --listen nonsense
err_has "write PORT, HOST:PORT"
expect 2 metrics --listen 65536
err_has "a port is 65535 at most"
