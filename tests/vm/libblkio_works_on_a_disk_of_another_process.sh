#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# libblkio's virtio-blk driver, as qemu-io uses it, works on a disk that 'vas device blk' serves: what it
# writes is in the file, and what it reads was. No guest and no VMM is needed for that.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
need qemu-io qemu-img

size=64M disk=$tmp/disk.img sock=$tmp/sock
truncate -s $size "$disk"
"$VAS" device blk --path "$disk" --vhost-user "$sock" --num-queues 2 2>"$tmp/device.err" &
device=$!
started=$device
wait_until test -S "$sock"
image=driver=virtio-blk-vhost-user,path=$sock,cache.direct=on

# io COMMAND...: of qemu-io's, which does not always end with 1 after an error
io()
{
	for command; do
		set -- "$@" -c "$command"
		shift
	done
	timeout 300 qemu-io --image-opts "$image" "$@" >"$tmp/io" 2>&1 || die "qemu-io: $(cat "$tmp/io")"
	! grep -iE 'error|failed' "$tmp/io" || die "qemu-io says so"
}

timeout 300 qemu-io --image-opts "$image" -c length >"$tmp/io" 2>&1 || {
	grep -q 'Unknown driver' "$tmp/io" && skip "this QEMU has no driver of libblkio's (qemu-block-extra)"
	die "qemu-io: $(cat "$tmp/io")"
}
grep -q '^64 MiB' "$tmp/io" || die "the disk's size: $(cat "$tmp/io")"

# Many at once, then in order; what was written before is read by the next connection.
io 'aio_write -P 0x11 0 1M' 'aio_write -P 0x22 1M 1M' 'aio_write -P 0x33 5M 64k' \
	'aio_write -P 0x44 63M 1M' 'aio_flush' 'write -P 0x55 4096 512' 'flush'
io 'read -P 0x11 0 4096' 'read -P 0x55 4096 512' 'read -P 0x11 4608 512k' 'read -P 0x22 1M 1M' \
	'read -P 0 2M 3M' 'read -P 0x33 5M 64k' 'read -P 0x44 63M 1M'
io 'write -z 1M 512k' 'discard 5M 64k' 'flush'
io 'read -P 0 1M 512k' 'read -P 0x22 1536k 512k' 'read -P 0 5M 64k'
[ "$(dd if="$disk" bs=1M skip=63 count=1 status=none | tr -d '\104' | wc -c)" = 0 ] ||
	die "the file has other bytes"

# A file of random bytes, there and back.
head -c 33554432 /dev/urandom >"$tmp/random"
timeout 300 qemu-img convert -n -f raw --target-image-opts "$tmp/random" "$image" >"$tmp/io" 2>&1 ||
	die "qemu-img: $(cat "$tmp/io")"
cmp -n 33554432 "$tmp/random" "$disk" || die "the disk is not what was copied to it"
timeout 300 qemu-img convert --image-opts -O raw "$image" "$tmp/back" >"$tmp/io" 2>&1 ||
	die "qemu-img: $(cat "$tmp/io")"
cmp "$disk" "$tmp/back" || die "what was copied from the disk is not what it has"
kill "$device"
wait "$device" || die "the device ends with $?"
[ ! -s "$tmp/device.err" ] || die "$(cat "$tmp/device.err")"
