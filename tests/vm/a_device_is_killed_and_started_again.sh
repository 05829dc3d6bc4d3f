#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The process that serves a guest's disk is killed at any moment, and started again: the guest's
# requests wait, and none is lost, done wrongly, or told to have failed. TIMES is how often.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
times=$1
# shellcheck source-path=SCRIPTDIR source=disk.sh
. "$(dirname "$0")/disk.sh"

make_disk_guest
truncate -s ${disk_mib}M "$tmp/disk"
device_words=,num-queues=2
serve --path "$tmp/disk"
boot_disk "$tmp/serial"
goes_on "$tmp/serial"
while [ "$times" -gt 0 ]; do
	times=$((times - 1))
	goes_on "$tmp/serial" $((1 + times * 37 % 101))
	kill_device
	serve --path "$tmp/disk"
done
goes_on "$tmp/serial" 300
