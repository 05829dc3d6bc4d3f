#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Memory that the guest never touched stays so: reading, searching, drawing and dumping it is free.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --memory 1T --limit 4T
expect 0 write "$mine" 0x8000000000 --string needle
is_equal "$(resident "$mine")" 4096
expect 0 read "$mine" 0x100000 1M --raw
head -c 1048576 /dev/zero | cmp - "$tmp/out"
is_equal "$(resident "$mine")" 4096 "after read"
expect 0 dump "$mine" -o "$tmp/dump"
is_equal "$(resident "$mine")" 4096 "after dump"
expect 0 map "$mine"
is_equal "$(resident "$mine")" 4096 "after map"
expect 0 find "$mine" needle
out_is 0x8000000000
is_equal "$(resident "$mine")" 4096 "after find"
# A match may begin or end in memory that was never touched.
expect 0 write "$mine" 0x8000003000 --hex "00 00 2a"
expect 0 find "$mine" --hex "00 00 00 2a 00"
out_is 0x8000002fff
expect 0 write "$mine" 0x8000003ffc --string last
expect 0 find "$mine" --hex "6c 61 73 74 00 00 00"
out_is 0x8000003ffc
expect 0 find "$mine" --hex "00 00 00 00 00 2a"
out_is 0x8000002ffd
is_equal "$(resident "$mine")" 8192 "after find at the edges"
