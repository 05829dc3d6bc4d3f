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
