#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The process that serves a guest's device is killed at any moment, and started again: the guest's
# requests wait, and none is lost, done wrongly, or told to have failed. KIND is disk or net, TIMES how
# often.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind "$@"
times=$2

make_guest
device_where 1
# shellcheck disable=SC2086,SC2154 # words
serve $where
boot "$tmp/serial"
goes_on "$tmp/serial"
while [ "$times" -gt 0 ]; do
	times=$((times - 1))
	goes_on "$tmp/serial" $((1 + times * 37 % 101))
	kill_device
	# shellcheck disable=SC2086 # words
	serve $where
done
goes_on "$tmp/serial" 300
