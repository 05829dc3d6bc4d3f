#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A guest of QEMU's has a device that tells it of its generation, where its machine can have one: once, and
# not if it is not wanted.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=qemu.sh
. "$(dirname "$0")/qemu.sh"

# answers TEXT QEMU-OPTION...: QEMU does, when it is asked for the generation
answers()
{
	text=$1
	shift
	start_qemu "$@"
	monitor "info vm-generation-id" "$text"
	end "$pid"
	is_equal "$code" 0 "$*"
}

for machine in pc q35 pc-i440fx-2.9 pc-q35-2.12; do
	answers "-4" -M $machine
done
for machine in microvm pc-i440fx-2.8; do
	answers "not found" -M $machine
done
given=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87
answers $given -M q35 -device vmgenid,guid=$given
qemu_opts=--no-vmgenid
answers "not found" -M q35
