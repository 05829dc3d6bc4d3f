#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A strict parser of OpenMetrics takes what vas metrics prints, whatever a vas is called, and the values
# are those of the vas.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3
for python in python3 /usr/bin/python3 none; do
	! "$python" -c 'import prometheus_client.openmetrics.parser' 2>/dev/null || break
done
[ "$python" != none ] || skip "python3-prometheus-client is not installed"

# values NAME: of each metric of that vas, from $tmp/out, a line each
values()
{
	"$python" - "$tmp/out" "$1" <<-'END' || die "$ran: not as it must be: $(cat "$tmp/out")"
		import sys
		from prometheus_client.openmetrics.parser import text_string_to_metric_families
		text = open(sys.argv[1], encoding="utf-8").read()
		for family in text_string_to_metric_families(text):
		    assert family.type == "gauge" and family.documentation, family
		    for sample in family.samples:
		        assert sample.labels["holder"].count("/") == 1, sample
		        if sample.labels["name"] == sys.argv[2]:
		            of = [sample.labels[key] for key in ("consumer", "device", "kind", "queue") if key in sample.labels]
		            print(sample.name, *of, int(sample.value))
	END
}

has()
{
	grep -qx "$1" "$tmp/values" || die "$ran: '$1' is not in '$(cat "$tmp/values")'"
}

create "$mine" --memory 64M --machine flat
"$VAS" fill "$mine" 0 8M 1
expect 0 metrics "$mine"
values "$mine" >"$tmp/values"
for line in "vas_size_bytes 67108864" "vas_resident_bytes 8388608" "vas_lazy_bytes 0" "vas_owned 1" \
	"vas_frozen 0" "vas_tracking 0" "vas_regions 1" "vas_binders 1" "vas_pins 0" \
	"vas_owner_epoch 0" "vas_events 0" "vas_holders 1"; do
	has "$line"
done
grep -q '^vas_generation [1-9]' "$tmp/values" || die "no generation: $(cat "$tmp/values")"
! grep -E 'written|working_set|rounds' "$tmp/values" || die "it knows what nobody has counted"

# All of the host, with names that mean something to the format, to terminals and to nobody.
bad="$mine \\\"},x{\\"
create "$bad" --memory 1M
odd="$mine $(printf '\303\244\033[31m')"
"$VAS" create --name "$odd" --memory 1M >"$tmp/odd" 2>/dev/null &
started="$started $!"
wait_until test -s "$tmp/odd"
expect 0 metrics
values "$bad" >"$tmp/values"
has "vas_size_bytes 1048576"
values "$mine $(printf '\303\244')?[31m" >"$tmp/values"
has "vas_size_bytes 1048576"
values "$mine" >"$tmp/values"
has "vas_size_bytes 67108864"
tail -n 1 "$tmp/out" | grep -qx '# EOF' || die "it does not end: $(tail -n 1 "$tmp/out")"

# Consumers, and one that is out of step.
mkfifo "$tmp/hold"
exec 9<>"$tmp/hold"
"$RICH_OWNER" "$mine-rich" <"$tmp/hold" >"$tmp/rich" &
started="$started $!"
wait_until test -s "$tmp/rich"
expect 0 metrics "$mine-rich"
values "$mine-rich" >"$tmp/values"
has "vas_events 2"
has "vas_consumer_in_step good 1"
has "vas_consumer_in_step late 0"

# A device, which nobody serves. (bus_tells_who_serves_what: one that is served.)
"$BUS_OWNER" "$mine-bus" "$tmp/guest" <"$tmp/hold" >"$tmp/bus" &
started="$started $!"
wait_until grep -q ready "$tmp/bus"
expect 0 metrics "$mine-bus"
values "$mine-bus" >"$tmp/values"
has "vas_device_served disk blk 0"
grep -q "^vas_device_grants disk blk " "$tmp/values" || die "no grants: $(cat "$tmp/values")"
! grep -q '^vas_device_queue' "$tmp/values" || die "its queues are not made yet: $(cat "$tmp/values")"

# Somebody writes the same 64 pages again and again.
(while :; do "$VAS" fill "$mine" 4M 256K 2; done) &
writer=$!
started="$started $writer"
written()
{
	run_vas metrics --track --delay 0.5 "$mine"
	values "$mine" >"$tmp/values"
	grep -qx 'vas_working_set_bytes 262144' "$tmp/values"
}
wait_until written
grep -q '^vas_written_bytes_per_second [1-9]' "$tmp/values" || die "no rate: $(cat "$tmp/values")"
has "vas_tracking 1"
kill "$writer"
wait "$writer" || true

expect 1 metrics "$mine-nowhere"
err_has "there is no vas '$mine-nowhere'"
expect 2 metrics --delay soon
err_has "no number of seconds"
