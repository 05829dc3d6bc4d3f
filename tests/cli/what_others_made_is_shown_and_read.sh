#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A vas with a further backing, whose fd is found in its owner; with memory that is local to the owner, which
# nobody else can reach; and with a doorbell and an interrupt.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

mkfifo "$tmp/hold"
"$RICH_OWNER" "$mine" <"$tmp/hold" >"$tmp/ref" &
pid=$!
started="$started $pid"
exec 9<>"$tmp/hold"
wait_until is_created
ref=$(cat "$tmp/ref")

expect 0 info "$mine"
for line in "  *2  *0x200000  *1 MiB  *1  *0x0  *rw  *other" "  *3  *0x400000  *1 MiB  *local  *0x0  *rw  *mine" \
	"1  1 MiB, 4 KiB resident, inode" "1  queue0  doorbell at gpa 0xfe003000, 4 bytes wide, for writes of 0x7" \
	"2  irq0  irq, gsi 24, level-triggered"; do
	grep -q -e "$line" "$tmp/out" || die "no line like '$line' in $(cat "$tmp/out")"
done
expect 0 info "$mine" --json
is_equal "$(json "[(b['backing'], b['available']) for b in j['backings']]")" "[(0, True), (1, True)]"
is_equal "$(json "[(e['name'], e['kind']) for e in j['events']]")" \
	"[('queue0', 'doorbell'), ('irq0', 'irq')]"
is_equal "$(json "[r['local'] for r in j['regions']]")" "[False, False, True]"

for name in "$mine" "$ref"; do
	expect 0 read "$name" 0x200000 9 --raw
	out_is "from afar"
done
expect 0 find "$mine" "from afar"
out_is 0x200000
expect 0 write "$mine" 0x200000 --string "FROM"
expect 0 compare "$mine" 0x200000 --string "FROM afar"

expect 4 read "$mine" 0x400000 16
err_has "it is local to the owner's process"
expect 4 dump "$mine" -o "$tmp/dump"
err_has "stopped at 0x400000 after 0 of 1048576 bytes"
is_equal "$(dd if="$tmp/dump" bs=1 skip=$((0x200000)) count=9 status=none)" "FROM afar"
expect 0 map "$mine" --cell 1M
expect 0 ls
grep -q "^$mine .* 3 MiB " "$tmp/out" || die "not listed: $(cat "$tmp/out")"
