#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# An unmodified QEMU's guest writes, reads, discards, zeroes and flushes a disk that 'vas device blk'
# serves: what it reads is what it wrote. With split and packed rings, one queue and more, and each
# engine; it finds a disk that has grown; and one that is only read.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind disk

make_guest

end_both()
{
	kill "$guest" "$device"
	wait "$guest" 2>/dev/null || :
	wait "$device" || die "the device ends with $?: $(cat "$tmp/device.err")"
	[ ! -e "$sock" ] || die "its socket is still there"
}

# try SERIAL WORDS OPTION...: a guest works; WORDS are for QEMU's device
try()
{
	name=$1 device_words=$2
	shift 2
	serve "$@"
	boot "$tmp/$name"
	goes_on "$tmp/$name" 300
	has_no_errors "$name"
}

try file ,num-queues=2 --path "$tmp/disk" --serial of-this-test
grep -aq 'disk: serial of-this-test' "$tmp/file" || die "$(grep -a serial "$tmp/file")"
grep -aq 'disk: 2 queues' "$tmp/file" || die "$(grep -a queues "$tmp/file")"
truncate -s $((2 * disk_mib))M "$tmp/disk"
kill -USR1 "$device"
wait_until grep -aq "disk: $((2 * disk_mib)) MiB" "$tmp/file"
goes_on "$tmp/file" 100
end_both
grep -q . "$tmp/disk" || die "nothing was written to the file"

try packed ,packed=on --path "$tmp/disk" --engine sync
end_both
try memory ,num-queues=1 --memory ${disk_mib}M --poll 0
end_both

truncate -s 0 "$tmp/disk"
truncate -s ${disk_mib}M "$tmp/disk"
append=vas_only=read
chmod 400 "$tmp/disk"
try read-only ,num-queues=1 --path "$tmp/disk" --read-only
end_both
