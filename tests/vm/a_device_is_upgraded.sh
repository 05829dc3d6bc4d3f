#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The process that serves a device to an unmodified QEMU's guest is ended, and another binary, at
# another path, goes on in its place: the guest works all the time, and sees no more than a stall. KIND
# is disk or net, TIMES how often. VAS_NEXT: another build of the command; else it is a copy of it.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind "$@"
times=$2

# Where it has its libraries, from wherever it is.
libraries=$(ldd "$VAS" | sed -n 's|.* => \(/.*\)/libvas[^/]*.so.*|\1|p' | sort -u | tr '\n' :)
if [ -z "${VAS_NEXT:-}" ]; then
	mkdir "$tmp/next"
	VAS_NEXT=$tmp/next/vas
	cp "$VAS" "$VAS_NEXT"
	export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:-}"
fi

# The device ends as it is asked to. What the guest has checked since may be what it had already.
takes_signals()
{
	blocked=$(sed -n 's/^SigBlk:[[:space:]]*//p' "/proc/$device/status")
	[ $((0x${blocked:-0} >> 14 & 1)) = 1 ]
}

make_guest
device_where 1
# shellcheck disable=SC2086,SC2154 # words
serve $where
boot "$tmp/serial"
goes_on "$tmp/serial"
while [ "$times" -gt 0 ]; do
	times=$((times - 1))
	goes_on "$tmp/serial" $((1 + times * 37 % 101))
	wait_until takes_signals
	kill "$device"
	wait "$device" || die "the device ends with $?: $(cat "$tmp/device.err")"
	now=$VAS VAS=$VAS_NEXT VAS_NEXT=$now
	# shellcheck disable=SC2086 # words
	serve $where
done
goes_on "$tmp/serial" 300
has_no_errors "$kind"
