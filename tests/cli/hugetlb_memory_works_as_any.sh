#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A vas of 2 MiB pages: made, written, read, found, dumped; a shortage is an error when it is made.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

pages=/sys/kernel/mm/hugepages/hugepages-2048kB
[ -e $pages/free_hugepages ] || skip "no 2 MiB pages in this kernel"
free=$(cat $pages/free_hugepages)
[ "$free" -ge 16 ] || skip "$free 2 MiB pages are free, 16 are needed"

create "$mine" --memory 8M --hugetlb
expect 0 write "$mine" 0x3ffffe --string needle
expect 0 read "$mine" 0x3ffffe 6 --raw
out_is needle
expect 0 dump "$mine" -o "$tmp/dump"
is_equal "$(dd if="$tmp/dump" bs=1 skip=$((0x3ffffe)) count=6 status=none)" needle
expect 0 map "$mine" --json
is_equal "$(json "j['cell'] >= 2 << 20")" True
# Two pages are written, one has the control area: nothing of this allocated more.
is_equal "$(resident "$mine")" $(((2 + 1) << 21))
expect 0 find "$mine" needle
out_is 0x3ffffe
expect 0 find "$mine" --hex "$(printf '00%.0s' 1 2 3 4 5 6) 6e 65 65 64 6c 65 00 00"
out_is 0x3ffff8
head -c 8388608 /dev/zero >"$tmp/zeros"
expect 1 compare "$mine" 0 --file "$tmp/zeros"
err_has "differs at 0x3ffffe"
is_equal "$(resident "$mine")" $(((2 + 1) << 21)) "after find and compare"
expect 3 create --memory 1T --hugetlb --reserve
expect 3 create --region 4K:4K --hugetlb
err_has "region at 0x1000"
