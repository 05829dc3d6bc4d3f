#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# As a table, as JSON, and as names for scripts; with everyone who has it open.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --memory 64M
"$VAS" fill "$mine" 0 1M 7
# Another process that has it open, by another fd.
sleep 1000 7<"/proc/$pid/fd/${ref#*/}" &
other=$!
started="$started $other"
wait_until grep -qx sleep "/proc/$other/comm"

expect 0 ls
grep -E "^NAME +PID/FD +SIZE +RESIDENT +REGIONS +BINDERS +OWNER +ATTACHED +EVENTS +HELD BY$" "$tmp/out" ||
	die "no heading"
grep -E "^$mine +$ref +64 MiB +1 MiB +1 +1 +$pid +- +0 +$pid vas, $other sleep$" "$tmp/out" ||
	die "not in the table: $(cat "$tmp/out")"

expect 0 ls --json
one="[v for v in j if v['name'] == '$mine'][0]"
is_equal "$(json "${one}['size'], ${one}['resident'], ${one}['owner_pid'], ${one}['binders']")" \
	"(67108864, 1048576, $pid, 1)"
is_equal "$(json "[(h['pid'], h['command']) for h in ${one}['holders']]")" \
	"[($pid, 'vas'), ($other, 'sleep')]"
is_equal "$(json "${one}['holders'][1]['fd']")" 7

expect 0 ls --quiet
grep -qx "$mine" "$tmp/out" || die "not among the names"

# Its owner killed, it is still there, in the hands of the other; nobody owns it.
kill -KILL "$pid"
wait "$pid" || true
expect 0 ls --json
is_equal "$(json "${one}['owner_pid'], ${one}['pid'], ${one}['fd']")" "(None, $other, 7)"
expect 0 ls
grep -E "^$mine +$other/7 .* none +- +0 +$other sleep$" "$tmp/out" || die "no owner is shown"
expect 0 compare "$mine" 0xffff8 --hex "07 07 07 07 07 07 07 07"

# And with the last fd it is gone.
kill "$other"
wait "$other" || true
expect 0 ls --quiet
! grep -qx "$mine" "$tmp/out" || die "still listed"
