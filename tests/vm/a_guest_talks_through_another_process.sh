#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# An unmodified QEMU's guest pings, and sends streams that come back, over a tap that 'vas device net'
# serves: what it reads is what it wrote. With split and packed rings, one pair of queues and two, and
# with nothing that a device may do for a guest.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind net

# try SERIAL WORDS QUEUES OPTION...: a guest works; WORDS are for QEMU's device
try()
{
	name=$1 device_words=$2 queues=$3
	shift 3
	device_where 1
	# shellcheck disable=SC2086,SC2154 # words
	serve $where "$@" --counters >"$tmp/counters"
	boot "$tmp/$name"
	goes_on "$tmp/$name" 300
	grep -aq "net: $queues queues" "$tmp/$name" || die "$(grep -a queues "$tmp/$name")"
	grep -aq 'net: pinged' "$tmp/$name" || die "no answer to a ping"
	kill "$guest"
	wait "$guest" 2>/dev/null || :
	wait_until grep -q received "$tmp/counters"
	kill "$device"
	wait "$device" || die "the device ends with $?: $(cat "$tmp/device.err")"
	has_no_errors "$name"
}

make_guest
try split "" 2
grep -q '^sent 1: [1-9]' "$tmp/counters" || die "the second pair was not used: $(cat "$tmp/counters")"
try packed ,packed=on 2
try one-pair ,mq=off 1 --poll 0
try plain ,mrg_rxbuf=off,csum=off,gso=off,guest_csum=off,event_idx=off,indirect_desc=off 2
