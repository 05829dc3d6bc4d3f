#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A vas's name is another's choice: control characters never come out, not in JSON either.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

escape=$(printf '\033')
create "$mine${escape}[2J" --region "0:4K:a${escape}b"
for verb in ls "info $ref" "map $ref" "ls --json" "ls --quiet" "info $ref --json"; do
	# shellcheck disable=SC2086 # words
	expect 0 $verb
	! grep -q "$escape" "$tmp/out" || die "$ran: an escape came through"
	out_has '?'
done
expect 0 ls --json
is_equal "$(json "[v['name'] for v in j if v['pid'] == $pid]")" "['$mine?[2J']"
expect 1 info "x$escape"
! grep -q "$escape" "$tmp/err" || die "an escape came through in an error"
