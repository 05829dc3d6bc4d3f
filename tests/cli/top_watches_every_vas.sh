#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# vas top without a terminal: what it tells of each vas, in which order, and how much is written.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine-small" --memory 16M
create "$mine-large" --memory 64M
"$VAS" fill "$mine-large" 0 8M 1
"$VAS" fill "$mine-small" 0 1M 1

expect 0 top --once --json
mine_of="[v for v in j if v['name'].startswith('$mine')]"
is_equal "$(json "[v['name'][len('$mine-'):] for v in $mine_of]")" "['large', 'small']"
is_equal "$(json "{v['name'][-5:]: (v['size'], v['resident'], v['written_per_second'], v['working_set']) for v in $mine_of}['large']")" \
	"(67108864, 8388608, None, None)"
is_equal "$(json "${mine_of}[0]['owner_pid']")" "$pid"
expect 0 top -1 -j --sort size
is_equal "$(json "[v['size'] for v in j] == sorted([v['size'] for v in j], reverse=True)")" True
expect 0 top -b -n 2 -d 0.1
is_equal "$(grep -c '^NAME' "$tmp/out")" 2
is_equal "$(grep -c "^$mine-large .* 64 MiB  *8 MiB " "$tmp/out")" 2

# Somebody writes the same 64 pages again and again: that is the working set, and a rate.
(while :; do "$VAS" fill "$mine-small" 4M 256K 2; done) &
writer=$!
started="$started $writer"
# By name: nobody else's writers have to mark for this.
expect 0 top --track --json -n 4 -d 0.5 "$mine-small" "$ref"
tail -n 1 "$tmp/out" >"$tmp/last"
mv "$tmp/last" "$tmp/out"
json "[(v['working_set'] == 262144, v['written_per_second'] > 0, v['tracking']) for v in $mine_of if v['size'] == 16 << 20]" |
	grep -qxF '[(True, True, True)]' || die "the working set: $(cat "$tmp/out")"
is_equal "$(json "len(j)")" 2
is_equal "$(json "[v['working_set'] for v in $mine_of if v['size'] == 64 << 20]")" "[0]"
kill "$writer"
wait "$writer" || true
# Tracking ends with it, and it keeps nothing alive.
expect 0 info "$mine-large" --json
is_equal "$(json "j['tracking']")" False
end "$pid"
expect 0 top -1 -j
is_equal "$(json "len($mine_of)")" 1

expect 2 top --sort colour
err_has "resident, dirty"
expect 2 top --delay 0
err_has "0.1 to 3600"
expect 2 top
err_has "--batch"
# As often as was asked for, and never there.
expect 1 top --once "$mine-none"
err_has "there is no vas '$mine-none'"
