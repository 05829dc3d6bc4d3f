#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A guest of 'vas run' works on a device of another process, which binds to the guest's vas. It is saved
# while it runs, and while it stands, and goes on; restored, with a device process of its own, it goes on
# from there; it is sent to another 'vas run', and back. Its device process is killed before each. KIND
# is disk or net.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind "$@"

# device NR: the NRth, and QEMU's words for it, with the console in serial$NR
device()
{
	nr=$1 sock=$tmp/sock$1
	device_where "$nr"
	# shellcheck disable=SC2086,SC2154 # words
	serve $where
	make_command "$tmp/serial$nr"
}

# goes_on_by NR VERB WORD...: in a QEMU that the command starts
goes_on_by()
{
	device "$1"
	shift
	# shellcheck disable=SC2086 # words
	"$VAS" "$@" -- $command -append "$cmdline" >"$tmp/qemu.out" 2>&1 &
	guest=$!
	started="$started $guest"
}

end_guest()
{
	kill "$guest" "$device"
	wait "$guest" || die "QEMU ends with $?: $(cat "$tmp/qemu.out")"
	wait "$device" || die "the device ends with $?: $(cat "$tmp/device.err")"
}

# Another process serves the device, and binds.
follow_device()
{
	kill_device
	device_where "$1"
	# shellcheck disable=SC2086 # words
	serve $where
	goes_on "$tmp/serial$1" 100
}

is_bound()
{
	"$VAS" info "$mine" | grep "^held by .*\<$device\>"
}

# save WORD...: $reached is what it had checked before
save()
{
	follow_device 1
	reached=$(checked "$tmp/serial1")
	expect 0 snapshot "$@"
	goes_on "$tmp/serial1" 100
}

make_guest
device_where 1
# shellcheck disable=SC2086 # words
serve $where
qemu_memory=
launch="$VAS run --name $mine --"
boot "$tmp/serial1" -monitor "unix:$tmp/monitor,server=on,wait=off"
goes_on "$tmp/serial1" 300
expect 0 info "$mine"
! grep -q 'bound *nobody' "$tmp/out" || die "the device has not bound: $(cat "$tmp/out")"

save --standing "$mine" "$tmp/standing"
copy_disk="true"
[ "$kind" != disk ] || copy_disk="cp $tmp/disk $tmp/saved"
save --disks "$copy_disk" "$mine" "$tmp/live"
grep -aq with-ram "$tmp/live" || die "it was saved while it stood"

# A network's streams do not outlive a restore: their other end has gone on.
moves="2 3"
if [ "$kind" = disk ]; then
	# Not while nobody serves its device, or its process came when the guest stood already.
	kill_device
	expect 3 snapshot --force --disks true "$mine" "$tmp/none"
	err_has "nobody serves the guest's device device[0] (vhost-user-blk-pci)"
	[ ! -e "$tmp/none" ] || die "a file of it was left"
	expect 3 pause "$mine"
	serve --path "$tmp/disk"
	goes_on "$tmp/serial1" 100
	kill_device
	monitor "$tmp/monitor" stop
	serve --path "$tmp/disk"
	wait_until is_bound
	expect 3 snapshot --force --disks true "$mine" "$tmp/none"
	err_has "came while the guest stood"
	expect 0 resume "$mine"
	save --disks true "$mine" "$tmp/later"
	end_guest

	cp "$tmp/saved" "$tmp/disk"
	goes_on_by 2 restore "$tmp/live"
	wait_until has_checked "$tmp/serial2" "$reached"
	goes_on "$tmp/serial2" 300
	moves="3 4"
fi

# Sent, it goes on there.
for nr in $moves; do
	follow_device $((nr - 1))
	source=$guest source_device=$device before=$((nr - 1))
	goes_on_by "$nr" receive "unix:$tmp/stream$nr"
	wait_until test -S "$tmp/stream$nr"
	expect 0 send --max-downtime=300000 "$mine" "unix:$tmp/stream$nr"
	reached=$(checked "$tmp/serial$before")
	wait_until has_checked "$tmp/serial$nr" "$reached"
	goes_on "$tmp/serial$nr" 300
	wait "$source" || die "the QEMU that was left ends with $?"
	kill "$source_device"
done
! grep -v 'was left behind' "$tmp/device.err" || die "the device says so"
end_guest
