#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A Linux guest with a disk, a network, a console and two processors works on all of them all the time, and on
# its memory. It is saved, restored, cloned, and becomes its clone: each time it goes on with the next number,
# and finds its memory, its disk and its clock as they were, and a network that answers.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
modules="virtio_pci virtio_mmio virtio_blk virtio_net"
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
bus=pci
[ "$machine" != microvm ] || bus=device

# machine_with SERIAL DISK: QEMU's words
machine_with()
{
	qemu "$1"
	command="$command -drive if=none,id=disk,format=raw,file=$2,cache=none
		-device virtio-blk-$bus,drive=disk -netdev user,id=net -device virtio-net-$bus,netdev=net"
}

# A stock kernel finds a microvm's by ACPI alone, with which it does not boot there under TCG: QEMU has
# them, and saves them, and the guest works on memory, console and clock.
has_its_devices()
{
	[ "$machine" != microvm ] || return 0
	grep -q "count: it has a disk, a network" "$1" || die "the guest has them not: $(head -n 5 "$1")"
}

# follows SERIAL FROM: it counts on from there, and nothing is wrong
follows()
{
	counts_on "$1" "$2"
	is_gapless "$1" $(($2 + 1))
}

# begin_clones OPTION... FILE|NAME: with the words in $command; until they run
begin_clones()
{
	: >"$tmp/ref"
	# shellcheck disable=SC2086 # words
	"$VAS" "$@" -- $command -append "$append" >"$tmp/ref" 2>"$tmp/clones.err" &
	pid=$!
	started="$started $pid"
	wait_until is_created
	[ -s "$tmp/ref" ] || die "vas $*: $(cat "$tmp/clones.err")"
}

make_guest
truncate -s 1M "$tmp/disk"
machine_with "$tmp/serial" "$tmp/disk"
# shellcheck disable=SC2086 # words
"$VAS" run -q --template --name "$mine" -- $command -append "$append" >"$tmp/run.out" 2>"$tmp/run.err" &
guest=$!
started="$started $guest"
counts_on "$tmp/serial" 3
has_its_devices "$tmp/serial"

# Saved, it goes on; the file is restored, and cloned twice.
expect 0 snapshot --disks "cp $tmp/disk $tmp/saved" "$mine" "$tmp/file"
counts_on "$tmp/serial" "$(last "$tmp/serial")"
is_gapless "$tmp/serial" 1

cp "$tmp/saved" "$tmp/disk-restored"
machine_with "$tmp/restored" "$tmp/disk-restored"
begin_clones restore "$tmp/file"
wait_until test -s "$tmp/restored"
at=$(($(sed -n 's/^.*count: \([0-9]*\),.*/\1/p' "$tmp/restored" | head -n 1) - 1))
follows "$tmp/restored" "$at"
end "$pid"

for private in "" --private; do
	for clone in 0 1; do
		cp "$tmp/saved" "$tmp/disk-$clone"
		rm -f "$tmp/clone-$clone"
	done
	machine_with "$tmp/clone-@INDEX@" "$tmp/disk-@INDEX@"
	# shellcheck disable=SC2086 # none, or an option
	begin_clones clone $private --number 2 "$tmp/file"
	for clone in 0 1; do
		follows "$tmp/clone-$clone" "$at"
	done
	end "$pid"
done

# It becomes its clone, on a disk that was copied while it stood.
truncate -s 1M "$tmp/disk-become"
machine_with "$tmp/become" "$tmp/disk-become"
begin_clones clone --private --disks "cp $tmp/disk $tmp/disk-become" "$mine"
code=0
wait "$guest" || code=$?
is_equal "$code" 0 "the QEMU that became a clone"
follows "$tmp/become" "$(last "$tmp/serial")"
end "$pid"
wait_until run_folder_is_empty
