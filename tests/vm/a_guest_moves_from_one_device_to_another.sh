#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Live migration between two QEMUs, each with a device process of its own, while the guest works on it:
# what the device wrote to memory is in QEMU's dirty log, and nothing is lost. A disk is the same one,
# which is unlocked here before it is locked there; of a network, the bridge learns where the guest is.
# There and back. KIND is disk or net.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind "$@"

# start NR WORD...: a device and a QEMU, the NRth
start()
{
	nr=$1 sock=$tmp/sock$1
	shift
	device_where "$nr"
	# shellcheck disable=SC2086,SC2154 # words
	serve $where
	boot "$tmp/serial$nr" -monitor "unix:$tmp/monitor$nr,server=on,wait=off" "$@"
}

# QEMU before 9.0 does not tell vCPUs of TCG's when it takes dirty marks (docs/design/qemu.md). What they
# write between the second time and the guest's standing is lost, and a guest dies of that. With no
# downtime that it may plan for, such a QEMU takes them once while the guest runs and the device
# works, and once more when it stands.
loses_writes()
{
	[ "$("$qemu_program" --version | sed -n 's/.*version \([0-9]*\).*/\1/p')" -lt 9 ]
}

# What is in memory goes in some seconds, in which the device writes behind what has gone.
prepare_move()
{
	loses_writes || return 0
	monitor "$1" "migrate_set_parameter downtime-limit 0" >/dev/null
	monitor "$1" "migrate_set_parameter max-bandwidth 16M" >/dev/null
}

has_moved()
{
	kill -0 "$source" || guest_has_ended "$source" "$tmp/serial$1"
	monitor "$tmp/monitor$1" "info migrate" >"$tmp/status"
	! grep -q failed "$tmp/status" ||
		die "$(cat "$tmp/status" "$tmp/qemu.out" "$tmp/device.err"; tail -n 20 "$tmp/serial$1")"
	grep -q 'status: completed' "$tmp/status"
}

check_move()
{
	! loses_writes || grep -q 'dirty sync count: 2' "$tmp/status" ||
		die "QEMU has taken dirty marks while the guest ran: $(cat "$tmp/status")"
}

make_guest
start 1
goes_on "$tmp/serial1" 300
for nr in 2 3; do
	before=$((nr - 1)) source=$guest old="$guest $device"
	start $nr -incoming "unix:$tmp/stream$nr"
	wait_until test -S "$tmp/stream$nr"
	wait_until test -S "$tmp/monitor$before"
	prepare_move "$tmp/monitor$before"
	monitor "$tmp/monitor$before" "migrate -d unix:$tmp/stream$nr" >/dev/null
	wait_until has_moved $before
	check_move
	reached=$(checked "$tmp/serial$before")
	wait_until has_checked "$tmp/serial$nr" "$reached"
	# shellcheck disable=SC2086 # words
	kill $old
	goes_on "$tmp/serial$nr" 1000
done
has_no_errors "there and back"
