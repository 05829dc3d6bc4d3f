#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Whatever file a verb makes of guest memory is its owner's alone, whatever the umask would allow.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

create "$mine" --memory 4M
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
kill -KILL "$pid"
wait "$pid" || true
umask 0
expect 0 read fd:9 0 16 -o "$tmp/read"
expect 0 read fd:9 0 16 --hex -o "$tmp/hex"
expect 0 dump fd:9 -o "$tmp/dump"
expect 0 snapshot fd:9 "$tmp/full"
expect 0 snapshot --parent "$tmp/full" fd:9 "$tmp/child"
expect 0 send fd:9 "$tmp/stream"
for file in read hex dump full child stream; do
	is_equal "$(stat -c %a "$tmp/$file")" 600 "$file"
done
# What was there keeps the mode that somebody gave it.
: >"$tmp/there"
chmod 640 "$tmp/there"
expect 0 read fd:9 0 16 -o "$tmp/there"
is_equal "$(stat -c %a "$tmp/there")" 640
