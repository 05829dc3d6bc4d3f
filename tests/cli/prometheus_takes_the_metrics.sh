#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Prometheus's own checker has nothing to say about what vas metrics prints.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
promtool=$("$(dirname "$0")/../../scripts/promtool.sh" path) || skip "promtool is not here; ./dev setup fetches it"

mkfifo "$tmp/hold"
exec 9<>"$tmp/hold"
"$RICH_OWNER" "$mine" <"$tmp/hold" >"$tmp/rich" &
started="$started $!"
wait_until test -s "$tmp/rich"
"$BUS_OWNER" "$mine-bus" "$tmp/guest" <"$tmp/hold" >"$tmp/bus" &
started="$started $!"
wait_until grep -q ready "$tmp/bus"
for options in "" "--track --delay 0.1"; do
	# shellcheck disable=SC2086 # words
	expect 0 metrics $options "$mine" "$mine-bus"
	grep -q '^vas_consumer_in_step{' "$tmp/out" || die "$ran: no consumers"
	grep -q '^vas_device_served{' "$tmp/out" || die "$ran: no devices"
	"$promtool" check metrics <"$tmp/out" >"$tmp/said" 2>&1 || die "$ran: $(cat "$tmp/said")"
	[ ! -s "$tmp/said" ] || die "$ran: $(cat "$tmp/said")"
done
