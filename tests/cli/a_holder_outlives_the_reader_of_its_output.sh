#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Memory is held, even if whoever should read where has gone.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

mkfifo "$tmp/output" "$tmp/gate"
exec 8<>"$tmp/output"
{
	read -r _ <"$tmp/gate"
	exec "$VAS" create --name "$mine" --memory 4M 8<&-
} >"$tmp/output" 2>"$tmp/create.err" &
pid=$!
started="$started $pid"
exec 8<&-
echo go >"$tmp/gate"
wait_until "$VAS" info "$mine"
# It had nobody to tell by then, or has noticed since: in both cases it goes on.
expect 0 write "$mine" 0 --string held
expect 0 read "$mine" 0 4 --raw
out_is held
kill -0 "$pid" || die "the holder is gone"
