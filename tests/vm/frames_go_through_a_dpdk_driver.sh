#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# DPDK's virtio driver, in testpmd, sends frames round and round by way of 'vas device net': its counters
# and the device's say the same, for each kind of ring and path of the driver. Then over a network of
# nothing, one way each. No guest, and no huge pages. SECONDS_EACH is how long each goes on.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
need dpdk-testpmd
seconds=${SECONDS_EACH:-2}
total=0

# run WHAT WORDS COMMAND OPTION...: testpmd with words for its device, until it was told COMMAND for so
# long; the device has the options
run()
{
	what=$1 words=$2 command=$3
	shift 3
	"$VAS" device net --vhost-user "$tmp/sock" --counters "$@" >"$tmp/counters" 2>"$tmp/device.err" &
	device=$!
	started="$started $device"
	wait_until test -S "$tmp/sock"
	{
		printf '%b\n' "$command"
		sleep "$seconds" # the load
		printf 'stop\nshow port stats all\nquit\n'
	} | dpdk-testpmd --lcores 0@0,1@0 --no-huge -m 256 --no-pci --file-prefix="vas$$" \
		--vdev "net_virtio_user0,path=$tmp/sock,mac=52:54:00:00:00:02$words" -- \
		-i --total-num-mbufs=4096 >"$tmp/testpmd" 2>&1 || die "$what: $(tail -n 5 "$tmp/testpmd")"
	end "$device"
	is_equal "$code" 0 "$what: $(cat "$tmp/device.err")"
	[ ! -s "$tmp/device.err" ] || die "$what: $(cat "$tmp/device.err")"
}

# of_testpmd RX|TX: packets of the port, those from before it began included
# of_device sent|received frames|dropped
of_testpmd()
{
	sed -n "s/.*$1-packets: \([0-9]*\).*/\1/p" "$tmp/testpmd" | tail -n 1
}

of_device()
{
	sed -n "s/^$1 0:.* \([0-9]*\) $2.*/\1/p" "$tmp/counters"
}

# What the driver sent the device has counted, as sent or dropped; what the device gave, the driver has
# read but for what is in the ring at the end.
counters_agree()
{
	sent=$(of_device sent frames) received=$(of_device received frames)
	lost=$(($(of_device sent dropped) + $(of_device received dropped)))
	tx=$(of_testpmd TX) rx=$(of_testpmd RX)
	is_equal "$tx" $((sent + $(of_device sent dropped))) "$what: $(cat "$tmp/counters")"
	if [ "$rx" -gt "$received" ] || [ $((received - rx)) -gt 256 ]; then
		die "$what: $rx were read of $received"
	fi
	total=$((total + tx + rx))
}

for packed in 0 1; do
	for in_order in 0 1; do
		for merge in 0 1; do
			words=,packed_vq=$packed,in_order=$in_order,mrg_rxbuf=$merge
			run "$words" "$words" 'start tx_first 4' --loopback
			counters_agree
			is_equal "$lost" 0 "$words: $(cat "$tmp/counters")"
			is_equal "$received" "$sent" "$words"
			[ "$rx" -gt 1000 ] || die "$words: $rx were received"
		done
	done
	words=,packed_vq=$packed,in_order=1,mrg_rxbuf=0,vectorized=1
	run "$words" "$words" 'start tx_first 4' --loopback
	counters_agree
	run "sent $packed" ",packed_vq=$packed" 'set fwd txonly\nstart' --null
	counters_agree
	[ "$tx" -gt 1000 ] || die "$tx were sent"
	run "received $packed" ",packed_vq=$packed" 'set fwd rxonly\nstart' --null=64
	counters_agree
	[ "$rx" -gt 1000 ] || die "$rx were received"
done
echo "$total frames"
