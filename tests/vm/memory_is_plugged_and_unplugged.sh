#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Memory is plugged into a Linux guest that runs, by ACPI: the guest uses it, and the vas shows it, in a
# snapshot too, from which the guest goes on with it. What the guest lets go of is gone from the vas; what it needs, or
# what somebody else has plugged, is an error.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
# shellcheck source-path=SCRIPTDIR source=talking.sh
. "$(dirname "$0")/talking.sh"
need python3

regions()
{
	expect 0 info "$1" --json
	json "' '.join(r['name'] for r in j['regions'] if r['backing'])"
}

make_guest
cmdline="memhp_default_state=online_movable"
room=slots=3,maxmem=$((mib + 1024))M
more="-m ${mib}M,$room -qmp unix:$tmp/qmp,server=on,wait=off"
boot_with_pipe
guest=$pid
ask_memory
first=$memory

# plugged, seen, used
expect 0 plug "$mine" 256M
out_is dimm0
expect 0 plug "$mine" 128M --json
is_equal "$(json "j['name'], j['size']")" "('dimm1', 134217728)"
has_more 384
is_equal "$(regions "$mine")" "dimm0 dimm1"
say "fill $((first + 100))"
wait_until has_said "fill: $((first + 100)) MiB"
! grep BROKEN "$tmp/serial" || die "its memory is not what it wrote"
[ "$(resident "$mine")" -gt $(((first + 50) << 20)) ] || die "what it wrote is not in the vas"
expect 0 info "$mine" --json
gpa=$(json "[r['gpa'] for r in j['regions'] if r['name'] == 'dimm0'][0]")
expect 0 read "$mine" "$gpa" 4096 --hex
counts_on "$tmp/serial" "$(last "$tmp/serial")"

# saved with it, and restored with it
at=$(last "$tmp/serial")
expect 0 snapshot "$mine" "$tmp/file"
expect 3 clone --private "$tmp/file" -- qemu-system-x86_64
err_has "is in a file of its own"
counts_on "$tmp/serial" "$at"

# one is let go of, and its place is free again
expect 0 unplug "$mine" dimm1
is_equal "$(regions "$mine")" dimm0
has_more 256
expect 1 unplug "$mine" dimm1
expect 3 plug "$mine" 1G
err_has "QEMU refuses 'device_add': not enough space"
is_equal "$(regions "$mine")" dimm0
expect 3 plug "$mine" 16G
err_has "how much can be plugged is said when QEMU is started"
expect 0 plug "$mine" 128M
out_is dimm1
expect 0 unplug "$mine" dimm1

# What somebody else plugs is not in the vas, and is not lost in silence.
python3 "$(dirname "$0")/ask_qemu.py" "$tmp/qmp" plug other 134217728
expect 3 snapshot "$mine" "$tmp/other"
err_has "memory that is not the vas's was plugged into the guest (other): unplug it first"
[ ! -e "$tmp/other" ] || die "there is a file"
counts_on "$tmp/serial" "$(last "$tmp/serial")"

# A guest that stands lets go of nothing.
expect 0 pause "$mine"
expect 3 unplug "$mine" dimm0
err_has "a guest that stands lets go of nothing"
expect 0 resume "$mine"
# One that needs the memory neither, until it does not.
say "take $((first + 100))"
wait_until has_said "take: $((first + 100)) MiB"
expect 3 unplug "$mine" dimm0 --wait 3
err_has "the guest has not let go of dimm0"
is_equal "$(regions "$mine")" dimm0
counts_on "$tmp/serial" "$(last "$tmp/serial")"
end "$guest"

# The file has two of them.
make_pipe
: >"$tmp/ref"
"$VAS" restore "$tmp/file" >"$tmp/ref" 2>"$tmp/restore.err" &
pid=$!
started="$started $pid"
wait_until is_created
[ -s "$tmp/ref" ] || die "vas restore: $(cat "$tmp/restore.err")"
ref=$(cat "$tmp/ref")
counts_on "$tmp/serial" "$at"
is_gapless "$tmp/serial" 0
is_equal "$(regions "$ref")" "dimm0 dimm1"
say "fill $((first + 100))"
wait_until has_said "fill: $((first + 100)) MiB"
expect 0 unplug "$ref" dimm0
expect 0 snapshot "$ref" "$tmp/again"
counts_on "$tmp/serial" "$(last "$tmp/serial")"

# What is left moves with it.
qemu "$tmp/there"
# shellcheck disable=SC2086 # words
"$VAS" receive --wait 100 "unix:$tmp/sock" -- $command -append "$append" -m "${mib}M,$room" \
	>"$tmp/come" 2>"$tmp/come.err" &
receiver=$!
started="$started $receiver"
wait_until test -S "$tmp/sock"
expect 0 send --max-downtime=300000 "$ref" "unix:$tmp/sock"
wait_until test -s "$tmp/come"
ref=$(cat "$tmp/come")
counts_on "$tmp/there" 0
is_equal "$(regions "$ref")" dimm1
expect 0 pause "$ref"
expect 0 resume "$ref"
counts_on "$tmp/there" "$(last "$tmp/there")"
is_gapless "$tmp/there" 0
end "$receiver"
wait_until run_folder_is_empty
