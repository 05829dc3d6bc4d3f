#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What a Linux guest gives back takes no memory in the vas any more: free pages that its balloon reports, and blocks of
# a virtio-mem, of which the vas shows the rest, in a snapshot too.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
modules="virtio_pci virtio_balloon virtio_mem"
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
# shellcheck source-path=SCRIPTDIR source=talking.sh
. "$(dirname "$0")/talking.sh"
need python3

# is_resident "> 100": MiB of the backing's
is_resident()
{
	"$VAS" info "$mine" --json >"$tmp/out" || die "vas info fails"
	[ "$(json "j['backings'][$1]['resident'] >> 20 $2")" = True ]
}

make_guest
cmdline="memhp_default_state=online_movable"

# ---- free pages that are reported ----------------------------------------------------------------

more="-device virtio-balloon-pci,free-page-reporting=on"
boot_with_pipe
ask_memory
say "take $((memory / 2))"
wait_until has_said "take: $((memory / 2)) MiB"
is_resident 0 "> $((memory / 2))" || die "what it took is not in the vas: $(cat "$tmp/out")"
"$VAS" info "$mine" --json >"$tmp/out"
full=$(json "j['backings'][0]['resident'] >> 20")
say give
wait_until has_said "give: 0"
wait_until is_resident 0 "< $((full - memory / 2 + 16))"
counts_on "$tmp/serial" "$(last "$tmp/serial")"
end "$pid"

# ---- virtio-mem ----------------------------------------------------------------------------------

more="-m ${mib}M,maxmem=$((mib + 512))M -object memory-backend-ram,id=more,size=512M
	-device virtio-mem-pci,id=vmem,memdev=more,requested-size=256M -qmp unix:$tmp/qmp,server=on,wait=off"
boot_with_pipe
request()
{
	python3 "$(dirname "$0")/ask_qemu.py" "$tmp/qmp" request vmem $(($1 << 20))
}
request 0
# The guest has as much as it was started with when it has none of the other.
has_little()
{
	ask_memory
	[ "$memory" -lt "$mib" ]
}
wait_until has_little
first=$memory
request 256
has_more 256
say "fill $((first + 128))"
wait_until has_said "fill: $((first + 128)) MiB"
is_resident 1 "> 100" || die "what it wrote is not in the vas: $(cat "$tmp/out")"
expect 0 find "$mine" --string "vas_seed=$((mib % 1000))" --max 1
at=$(last "$tmp/serial")
expect 0 snapshot "$mine" "$tmp/file"
counts_on "$tmp/serial" "$at"
request 0
has_more 0
wait_until is_resident 1 "== 0"
counts_on "$tmp/serial" "$(last "$tmp/serial")"
! grep BROKEN "$tmp/serial" || die "its memory is not what it wrote"
end "$pid"

# As it was, with the blocks that it had.
make_pipe
: >"$tmp/ref"
"$VAS" restore "$tmp/file" >"$tmp/ref" 2>"$tmp/restore.err" &
pid=$!
started="$started $pid"
wait_until is_created
[ -s "$tmp/ref" ] || die "vas restore: $(cat "$tmp/restore.err")"
counts_on "$tmp/serial" "$at"
is_gapless "$tmp/serial" 0
has_more 256
say "fill $((first + 128))"
wait_until has_said "fill: $((first + 128)) MiB"
request 0
has_more 0
wait_until is_resident 1 "== 0"
end "$pid"
wait_until run_folder_is_empty
