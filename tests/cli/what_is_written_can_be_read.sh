#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Each way to give bytes, each way to get them; across the border of two regions too.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

create "$mine" --region 0:1M:low --region 1M:1M:high
expect 0 write "$mine" 0xffffc --hex "de ad BE EF 00 01 02 03"
out_is ""
err_is ""
expect 0 read "$mine" 0xffffc 8 --hex
out_is deadbeef00010203
expect 0 read "$mine" 1048572 8
out_is "0000000ffffc  de ad be ef 00 01 02 03                           |........|"
expect 0 write "$mine" 4K --string "Hello, vas"
expect 0 read "$mine" 0x1000 10 --raw
out_is "Hello, vas"
expect 0 write "$mine" 0x1200 --hex "ffff"
expect 0 read "$mine" 0x1000 0x208
out_is "000000001000  48 65 6c 6c 6f 2c 20 76  61 73 00 00 00 00 00 00  |Hello, vas......|
000000001010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
000000001200  ff ff 00 00 00 00 00 00                           |........|"
expect 0 read "$mine" 0x2000 64
out_is "000000002000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
000000002040"

head -c 1500000 /dev/urandom >"$tmp/random"
expect 0 write "$mine" 0x12345 --file "$tmp/random"
expect 0 read "$mine" 0x12345 1500000 -o "$tmp/back"
cmp "$tmp/random" "$tmp/back"
out_is ""
expect 0 compare "$mine" 0x12345 --file "$tmp/random"
"$VAS" fill "$mine" 0 2M 0
"$VAS" write "$mine" 0x12345 <"$tmp/random"
"$VAS" read "$mine" 0x12345 1500000 --raw | cmp - "$tmp/random"
"$VAS" read "$mine" 0x12345 1500000 --hex | cmp - "$(
	od -An -v -tx1 "$tmp/random" | tr -d ' \n' >"$tmp/hex"
	echo >>"$tmp/hex"
	echo "$tmp/hex"
)"
expect 3 write "$mine" 0 --file "$tmp/nothing"
err_has "$tmp/nothing: No such file or directory"
