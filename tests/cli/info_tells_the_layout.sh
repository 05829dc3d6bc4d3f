#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# For people and as JSON: names, sizes, who owns it, each region.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --memory 4G --machine q35 --region 0xfffc0000:256K:ro:bios
expect 0 info "$mine"
for line in "name  *$mine" "memory  *4 GiB in 3 regions, 0 B resident" "owner  *process $pid" \
	"limit  *0x180000000 (6 GiB)" "file .* compact (offsets are not gpas)" \
	" 1  *0xfffc0000  *256 KiB  *file  *0x100000000  *ro  *bios" \
	" 3  *0x100000000  *2 GiB  *file  *0x80000000  *rw  *ram-above-4g"; do
	grep -q -e "$line" "$tmp/out" || die "no line like '$line' in $(cat "$tmp/out")"
done
expect 0 info "$mine" --json
is_equal "$(json "j['name'], j['size'], j['page_size'], j['owner_pid'], j['frozen'], j['events']")" \
	"('$mine', 4295229440, 4096, $pid, False, [])"
is_equal "$(json "len(j['uuid']), len(j['backings']), j['backings'][0]['available']")" "(36, 1, True)"
