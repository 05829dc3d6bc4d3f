#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Memory that is held, or outlived its owner, is sent over two sockets, to a file, and saved; it comes back the
# same.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# hold COMMAND...: in the background; $ref is what it prints
hold()
{
	: >"$tmp/ref"
	"$VAS" "$@" >"$tmp/ref" 2>"$tmp/hold.err" &
	pid=$!
	started="$started $pid"
}

has_arrived()
{
	wait_until is_created
	ref=$(cat "$tmp/ref")
	[ -n "$ref" ] || die "vas $*: $(cat "$tmp/hold.err")"
	"$VAS" read "$ref" 0x123000 8 --raw >"$tmp/after"
	cmp "$tmp/bytes" "$tmp/after"
	end "$pid"
}

create "$mine" --memory 16M
printf 'whatever' >"$tmp/bytes"
"$VAS" write "$ref" 0x123000 <"$tmp/bytes"
# Its holder lends it for a copy, and has it again.
expect 0 send "$ref" "$tmp/stream"
expect 0 send "$ref" "$tmp/stream"
expect 0 ls --json
is_equal "$(json "[v['owner_pid'] for v in j if v['name'] == '$mine'] == [$pid]")" True

# This shell keeps the memory when its owner is killed.
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
kill -KILL "$pid"
wait "$pid" || true

expect 0 snapshot fd:9 "$tmp/snapshot"
hold restore "$tmp/snapshot"
has_arrived restore

expect 0 send --compress zstd fd:9 "$tmp/stream"
hold receive "$tmp/stream"
has_arrived receive
printf x | dd of="$tmp/stream" bs=1 seek=200 conv=notrunc 2>/dev/null
expect 3 receive "$tmp/stream"
err_has damaged

# What has moved elsewhere is held no more.
create "$mine-held" --memory 16M
there=$pid
"$VAS" write "$ref" 0x123000 <"$tmp/bytes"
name=$ref
hold receive "unix:$tmp/sock"
wait_until test -S "$tmp/sock"
expect 0 send "$name" "unix:$tmp/sock"
code=0
wait "$there" || code=$?
is_equal "$code" 0
has_arrived receive

hold receive --channels 2 --max 64M "unix:$tmp/sock"
wait_until test -S "$tmp/sock"
expect 0 send --channels 2 fd:9 "unix:$tmp/sock"
err_has "on the wire"
has_arrived receive
