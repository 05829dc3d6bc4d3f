#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A disk on a guest's bus: new, served by a process, orphaned when that is killed, served by the next one.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

truncate -s 1M "$tmp/disk"

# One that waits for a guest which never comes is ended as any other.
"$VAS" device blk disk --guest "$tmp/none" --path "$tmp/disk" --wait &
waiting=$!
started="$started $waiting"
mkfifo "$tmp/in"
"$BUS_OWNER" "$mine" "$tmp/guest" <"$tmp/in" >"$tmp/owner" 2>"$tmp/owner.err" &
owner=$!
started="$started $owner"
exec 9<>"$tmp/in" # does not wait for a reader
wait_until grep -q ready "$tmp/owner"

expect 0 bus "$mine" --delay 0.1
grep -E "^DEVICE +KIND +STATE +SERVED BY +QUEUES" "$tmp/out" || die "no heading: $(cat "$tmp/out")"
grep -E "^disk +blk +new +- +0/0 " "$tmp/out" || die "not new: $(cat "$tmp/out")"

serve()
{
	"$VAS" device blk disk --guest "$tmp/guest" --path "$tmp/disk" "$@" 2>"$tmp/device.err" 9>&- &
	device=$!
	started="$started $device"
}

is_served()
{
	"$VAS" bus "$mine" --delay 0.1 >"$tmp/out" && grep -qE "^disk +blk +served +$device vas +1/1 +4 " "$tmp/out"
}

kill "$waiting"
wait "$waiting" || die "one that waits ends with $?"
serve --wait
wait_until is_served
expect 0 bus "$mine" --json --delay 0.3
is_equal "$(json "j[0]['name'], j[0]['kind'], j[0]['state'], j[0]['provider_pid']")" "('disk', 2, 'served', $device)"
is_equal "$(json "j[0]['requests_per_second'] > 0, j[0]['errors'], len(j[0]['queues'])")" "(True, 0, 1)"
is_equal "$(json "j[0]['queues'][0]['size'], j[0]['queues'][0]['state'], j[0]['queues'][0]['depth'] <= 1")" \
	"(4, 'running', True)"
grants=$(json "j[0]['grants']")

kill -KILL "$device"
wait "$device" || true
expect 0 bus "$mine" --delay 0.1
grep -E "^disk +blk +orphaned +- " "$tmp/out" || die "not orphaned: $(cat "$tmp/out")"
serve
wait_until is_served
expect 0 bus "$mine" --json --delay 0.1
is_equal "$(json "j[0]['grants'] - $grants")" 1

# An upgrade: the one before leaves; what is no device of this guest's has nobody leave.
expect 3 device rng disk --guest "$tmp/guest" --take-over
err_has "of another kind"
is_served || die "who serves it has left: $(cat "$tmp/out")"
old=$device
serve --take-over
wait "$old" || die "the one before has ended with $?"
wait_until is_served
grants=$((grants + 1))

expect 0 top --once --json "$mine"
is_equal "$(json "j[0]['devices'], j[0]['devices_served']")" "(1, 1)"

# metric NAME [LABELS]: its value, of that device
metric()
{
	sed -n "s/^vas_device_$1{name=\"$mine\",.*,device=\"disk\",kind=\"blk\"${2-}} //p" "$tmp/out"
}
expect 0 metrics "$mine"
is_equal "$(metric served) $(metric grants)" "1 $((grants + 1))"
is_equal "$(metric queue_running ',queue="0"') $(metric queue_size ',queue="0"') $(metric errors ',queue="0"')" "1 4 0"
for name in requests kicks calls; do
	[ "$(metric $name ',queue="0"')" -gt 0 ] || die "no $name: $(cat "$tmp/out")"
done
[ "$(metric queue_depth ',queue="0"')" -le 1 ] || die "more is in flight than there can be: $(cat "$tmp/out")"

# The second one that serves a device waits; one that the guest has not is refused.
expect 3 device blk floppy --guest "$tmp/guest" --path "$tmp/disk"
err_has "the guest has no device floppy"

exec 9>&-
wait "$owner" || die "the owner: $(cat "$tmp/owner.err")"
wait "$device" || die "the device was removed, and its provider says: $(cat "$tmp/device.err")"
grep -q "was removed" "$tmp/device.err" || die "$(cat "$tmp/device.err")"

create "$mine-2" --memory 64M
expect 0 bus "$mine-2"
err_has "there is no device on its bus"
