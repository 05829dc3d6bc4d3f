#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# While it looks through /proc, vas are made and their holders killed: it never fails.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

create "$mine-stays" --memory 1M
round=0
while [ $round -lt 30 ]; do
	round=$((round + 1))
	"$VAS" create --name "$mine-goes" --memory 1M >"$tmp/ref" &
	pid=$!
	started="$started $pid"
	"$VAS" ls >"$tmp/list" 2>"$tmp/list.err" &
	list=$!
	kill -KILL $pid
	wait $pid || true
	wait $list || die "vas ls failed: $(cat "$tmp/list.err")"
	grep -q "^$mine-stays " "$tmp/list" || die "missing: $(cat "$tmp/list")"
	is_equal "$(cat "$tmp/list.err")" ""
done
