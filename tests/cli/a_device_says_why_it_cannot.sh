#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Each thing that is wrong with a device has a sentence; its socket goes with it, and is not another's.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# refused CODE TEXT WORD...
refused()
{
	wanted=$1 text=$2
	shift 2
	expect "$wanted" device "$@"
	err_has "$text"
}

truncate -s 1M "$tmp/disk"
: >"$tmp/empty"
mkfifo "$tmp/pipe"
sock=--vhost-user=$tmp/sock
disk=--path=$tmp/disk
refused 2 "which one?" "$sock" "$disk"
refused 2 "there is no device 'floppy'" floppy "$sock" "$disk"
refused 2 "one of --path, --memory and --null" blk "$sock"
refused 2 "one of --to, --pty and --listen" console "$sock"
refused 2 "one of --to, --pty and --listen" console "$sock" --to=- --pty="$tmp/pty"
refused 3 "neither a file nor a terminal" console "$sock" --to="$tmp/pipe"
refused 3 "is too long" console "$sock" --listen="/$(printf %0200d 0)"
refused 2 "one of --path, --memory and --null" blk "$sock" "$disk" --null=1M
refused 2 "to whom?" blk "$disk"
refused 2 "to whom?" blk "$sock" "$disk" --guest="$tmp/guest"
refused 2 "to whom?" blk "$sock" "$disk" --connect="$tmp/other"
refused 2 "is too long" blk "$disk" --connect="/$(printf %0200d 0)"
refused 2 "is not 0 to" blk "$disk" --fd=none
refused 2 "no Unix stream socket" blk "$disk" --fd=0 </dev/null
refused 2 "knows no names" blk name "$sock" "$disk"
refused 2 "which device of the guest's" blk "$disk" --guest="$tmp/guest"
refused 2 "for a device on a bus" blk "$sock" "$disk" --take-over
refused 2 "for a device on a bus" blk "$sock" "$disk" --wait
refused 2 "one of --tap, --packet, --stream, --null, --loopback and --module" net "$sock"
refused 2 "one of --tap, --packet, --stream, --null, --loopback and --module" net "$sock" --packet=a --loopback
refused 3 "is too long for an interface" net "$sock" --packet=a-name-that-is-too-long
refused 3 "one pair of queues, and not 2" net "$sock" --packet=a --num-queues=2
refused 3 "one pair of queues, and not 2" net "$sock" --stream="$tmp/none" --num-queues=2
refused 3 "No such file" net "$sock" --stream="$tmp/none"
refused 3 "is no socket" net "$sock" --stream="$tmp/empty"
refused 3 "is too long for a socket" net "$sock" --stream="/$(printf %0200d 0)"
if [ "$(id -u)" = 0 ]; then
	refused 3 "there is no interface 'nowhere0'" net "$sock" --packet=nowhere0
else
	refused 3 "it needs CAP_NET_RAW" net "$sock" --packet=nowhere0
fi
refused 3 "8 pairs of queues at most, not 9" net name --module --num-queues=9 --guest="$tmp/guest"
refused 3 "is too long for an interface" net name --module=a-name-that-is-too-long --guest="$tmp/guest"
refused 2 "with --guest=PATH" net "$sock" --module
if ! [ -e /dev/vas_net ]; then
	refused 3 "vas_net.ko is not loaded" net name --module --guest="$tmp/guest"
fi
refused 2 "has no name: what is 'x'" blk name --module=x "$disk" --guest="$tmp/guest"
refused 2 "and no --engine" blk name --module --engine=sync "$disk" --guest="$tmp/guest"
refused 3 "serves a file, or a block device" blk name --module --null=1M --guest="$tmp/guest"
refused 2 "with --guest=PATH" blk "$sock" "$disk" --module
if ! [ -e /dev/vas_blk ]; then
	refused 3 "vas_blk.ko is not loaded" blk name --module "$disk" --guest="$tmp/guest"
fi
refused 3 "cannot connect" net name --loopback --guest="$tmp/guest"
refused 3 "cannot connect" blk name "$disk" --guest="$tmp/guest"
refused 2 "is no size" blk "$sock" --memory=much
refused 2 "is no size" blk "$sock" --memory=0
refused 2 "is not 1 to 64" blk "$sock" "$disk" --num-queues=65
refused 3 "No such file" blk "$sock" --path="$tmp/none"
refused 3 "is empty" blk "$sock" --path="$tmp/empty"
refused 3 "neither a file nor a block device" blk "$sock" --path=/dev/null
refused 2 "'fast' is none of auto, sync and io_uring" blk "$sock" "$disk" --engine=fast
refused 2 "is longer than 20 bytes" blk "$sock" "$disk" --serial=a-serial-that-is-too-long
: >"$tmp/sock"
refused 3 "cannot listen" blk "$sock" "$disk"
rm "$tmp/sock"

start()
{
	"$VAS" device blk "$sock" "$disk" 2>"$tmp/device.err" &
	pid=$!
	started="$started $pid"
	wait_until test -S "$tmp/sock"
}

start
refused 3 "cannot listen" blk "$sock" --null=1M
end "$pid"
is_equal "$code" 0 "$(cat "$tmp/device.err")"
[ ! -e "$tmp/sock" ] || die "its socket is still there"

# What a process that was killed has left is replaced.
start
kill -KILL "$pid"
wait "$pid" || true
[ -S "$tmp/sock" ] || die "a process that was killed has tidied up"
is_replaced()
{
	grep -q "was left behind" "$tmp/device.err"
}
start
wait_until is_replaced
end "$pid"
is_equal "$code" 0 "$(cat "$tmp/device.err")"
