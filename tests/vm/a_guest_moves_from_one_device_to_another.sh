#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Live migration between two QEMUs, each with a device process of its own for the same disk, while the
# guest works on it: what the device wrote to memory is in QEMU's dirty log, nothing is lost, and the
# disk is unlocked here before it is locked there. There and back.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=disk.sh
. "$(dirname "$0")/disk.sh"
need python3

# monitor SOCKET COMMAND: of QEMU's
monitor()
{
	python3 - "$@" <<-'END'
		import socket, sys
		monitor = socket.socket(socket.AF_UNIX)
		monitor.connect(sys.argv[1])
		said = b""
		monitor.sendall(sys.argv[2].encode() + b"\n")
		while said.count(b"(qemu)") < 2:
		    said += monitor.recv(4096)
		print(said.decode())
	END
}

# start NR WORD...: a device and a QEMU, the NRth
start()
{
	nr=$1 sock=$tmp/blk$1
	shift
	"$VAS" device blk --vhost-user "$sock" --path "$tmp/disk" 2>>"$tmp/device.err" &
	device=$!
	started="$started $device"
	boot_disk "$tmp/serial$nr" -monitor "unix:$tmp/monitor$nr,server=on,wait=off" "$@"
}

has_moved()
{
	monitor "$tmp/monitor$1" "info migrate" >"$tmp/status"
	! grep -q failed "$tmp/status" || die "$(cat "$tmp/status" "$tmp/qemu.out" "$tmp/device.err")"
	grep -q 'status: completed' "$tmp/status"
}

make_disk_guest
truncate -s ${disk_mib}M "$tmp/disk"
device_words=,num-queues=2
start 1
goes_on "$tmp/serial1" 300
for nr in 2 3; do
	before=$((nr - 1)) old="$guest $device"
	start $nr -incoming "unix:$tmp/stream$nr"
	wait_until test -S "$tmp/stream$nr"
	wait_until test -S "$tmp/monitor$before"
	monitor "$tmp/monitor$before" "migrate -d unix:$tmp/stream$nr" >/dev/null
	wait_until has_moved $before
	reached=$(checked "$tmp/serial$before")
	wait_until has_checked "$tmp/serial$nr" "$reached"
	# shellcheck disable=SC2086 # words
	kill $old
	goes_on "$tmp/serial$nr" 1000
done
[ ! -s "$tmp/device.err" ] || die "$(cat "$tmp/device.err")"
