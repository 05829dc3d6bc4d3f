#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A receiver at all addresses is reached by those of both kinds; IPv6 addresses are written in brackets.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

python3 -c 'import socket; socket.socket(socket.AF_INET6).bind(("::1", 0))' 2>/dev/null ||
	skip "this host has no IPv6"

free_port()
{
	python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}

# moves FROM TO: a vas sent to an address arrives at another
moves()
{
	create "$mine" --memory 4M
	expect 0 write "$ref" 0x1000 --string moved
	exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
	kill -KILL "$pid"
	wait "$pid" || true
	: >"$tmp/ref"
	: >"$tmp/receive.err"
	"$VAS" receive "$1" >"$tmp/ref" 2>"$tmp/receive.err" &
	pid=$!
	started="$started $pid"
	wait_until grep -q waiting "$tmp/receive.err"
	expect 0 send fd:9 "$2"
	wait_until is_created
	expect 0 read "$(cat "$tmp/ref")" 0x1000 5 --raw
	out_is moved
	end "$pid"
}

port=$(free_port)
moves "tcp::$port" "tcp:127.0.0.1:$port"
port=$(free_port)
moves "tcp::$port" "tcp:[::1]:$port"
port=$(free_port)
moves "tcp:[::1]:$port" "tcp:[::1]:$port"
expect 2 receive "tcp:::1:$port"
err_has "tcp:[IPV6]:PORT"
for none in 65536 99999 4294967297; do
	expect 2 receive "tcp::$none"
	err_has "a port is 65535 at most"
done

# Without "tcp:" it would be the name of a file.
create "$mine-typo" --memory 1M
cd "$tmp"
expect 2 receive "localhost:$port"
expect 2 send "$mine-typo" "localhost:$port"
err_has "'localhost:$port' is no address: write tcp:HOST:PORT, unix:PATH, fd:N, or ./localhost:$port for"
[ ! -e "localhost:$port" ] || die "a file was made"
expect 0 send "$mine-typo" "./localhost:$port"
