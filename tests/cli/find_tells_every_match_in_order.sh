#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Texts, bytes, wildcards; over the border of regions; in the last bytes; overlapping; several at once.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --memory 256M --region 0x20000000:1M
for gpa in 0xfffffb 0x1fffffd 0x5000000 0xffffffa; do
	expect 0 write "$mine" $gpa --string needle
done
expect 0 write "$mine" 0x200ffffa --string needle
expect 0 write "$mine" 0x3000 --hex "de ad 00 be ef"
expect 0 write "$mine" 0x4000 --string aaaa

expect 0 find "$mine" needle
out_is "0xfffffb
0x1fffffd
0x5000000
0xffffffa
0x200ffffa"
err_is ""
expect 0 find "$mine" --string needle --threads 1
is_equal "$(grep -c . "$tmp/out")" 5
expect 0 find "$mine" --hex "de ad ?? be"
out_is 0x3000
expect 0 find "$mine" --hex "d? ?d 00 be ef"
out_is 0x3000
expect 0 find "$mine" aa
out_is "0x4000
0x4001
0x4002"
expect 0 find "$mine" needle aaaa --hex dead
out_is "0x3000  dead
0x4000  aaaa
0xfffffb  needle
0x1fffffd  needle
0x5000000  needle
0xffffffa  needle
0x200ffffa  needle"
expect 0 find "$mine" needle --max 2
out_is "0xfffffb
0x1fffffd"
expect 0 find "$mine" needle --count
out_is 5
expect 0 find "$mine" needle --range 0xfffffb:6
out_is 0xfffffb
expect 1 find "$mine" needle --range 0xfffffb:5
out_is ""
expect 1 find "$mine" needle --range 0xfffffc:16M
expect 1 find "$mine" haystack --count
out_is 0
expect 0 find "$mine" needle aaaa --json
is_equal "$(json "j['count'], [m['gpa'] for m in j['matches']][:2], [m['pattern'] for m in j['matches']][:2]")" \
	"(6, [16384, 16777211], [1, 0])"
is_equal "$(json "j['scanned'] > 0 and j['ns'] > 0")" True

# In any case, of texts alone; wherever -i stands.
expect 0 write "$mine" 0x6000 --string "Hay[Stack{"
expect 0 find "$mine" -i "hAY[sTACK{" --hex "48 61 79" --string nothing
out_is "0x6000  48 61 79
0x6000  hAY[sTACK{"
expect 0 find "$mine" --string "hay[" -i --count
out_is 1
expect 1 find "$mine" -i "hay{stack" "hay[stack[" --hex "68 61 79"
expect 1 find "$mine" "hay["

# With what is around them, as far as there is something.
expect 0 find "$mine" "Hay[" --context 4
out_is "0x6000
000000005ff0  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
000000006000  48 61 79 5b 53 74 61 63                           |Hay[Stac|"
expect 0 find "$mine" needle --range 0x20000000:1M --context 4K
is_equal "$(sed -n '1p; $p' "$tmp/out")" "0x200ffffa
0000200ffff0  00 00 00 00 00 00 00 00  00 00 6e 65 65 64 6c 65  |..........needle|"
expect 0 write "$mine" 0 --string first
expect 0 find "$mine" first --context 2
out_is "0x0
000000000000  66 69 72 73 74 00 00                              |first..|"
expect 2 find "$mine" first --context 4097
expect 2 find "$mine" first --context 1 --json
err_has "neither --json nor --count"
