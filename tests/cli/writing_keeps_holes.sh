#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Zeros that are written to memory that was never touched take none.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --region 0:64M
truncate -s 48M "$tmp/image"
printf head | dd of="$tmp/image" conv=notrunc status=none
head -c 300000 /dev/urandom | dd of="$tmp/image" bs=1M seek=20 conv=notrunc status=none
printf tail | dd of="$tmp/image" bs=1 seek=$((0x2fffffc)) conv=notrunc status=none
# The random bytes fill 74 pages, the last of them in part.
expect 0 write "$mine" 0 --file "$tmp/image"
is_equal "$(resident "$mine")" $((76 * 4096))
expect 0 compare "$mine" 0 --file "$tmp/image"
"$VAS" read "$mine" 0 48M --raw | cmp - "$tmp/image"
is_equal "$(resident "$mine")" $((76 * 4096)) "after looking at it"
# Through a pipe, and to an address that no page begins at.
"$VAS" fill "$mine" 0 64M 0
is_equal "$(resident "$mine")" $((76 * 4096)) "after zeros"
create "$mine-other" --region 0:64M
"$VAS" write "$mine-other" 0x1801 <"$tmp/image"
[ "$(resident "$mine-other")" -le $((80 * 4096)) ] || die "$(resident "$mine-other") bytes"
"$VAS" read "$mine-other" 0x1801 48M --raw | cmp - "$tmp/image"
# What was there becomes zero.
expect 0 write "$mine" 0x100000 --string something
"$VAS" write "$mine" 0 <"$tmp/image"
"$VAS" read "$mine" 0 48M --raw | cmp - "$tmp/image"
