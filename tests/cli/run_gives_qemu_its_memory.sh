#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# An unmodified QEMU has its RAM where the vas says: what is written by gpa, below and above 4 GiB, is
# what its CPU sees there, and in the other direction.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=qemu.sh
. "$(dirname "$0")/qemu.sh"

# sees GPA: bytes written through the vas are seen by the guest
sees()
{
	expect 0 write "$mine" "$1" --hex "56 41 53 $2"
	monitor "xp /4xb $1" "0x56 0x41 0x53 0x$2"
}

for machine in pc q35 microvm pc-i440fx-7.2; do
	start_qemu -M $machine -m 4G
	sees 0x1000 01
	sees 0x7ffffffc 02
	sees 0x100000000 03
	sees 0x13ffffffc 04
	end "$pid"
	is_equal "$code" 0 "$machine: QEMU ends by SIGTERM with 0"
	expect 1 info "$mine"
done

# Sizes at both sides of where each machine begins to split, in --memory this time.
for each in "pc 3583M 0xdfeffffc" "pc 3584M 0x11ffffffc" "q35 2815M 0xafeffffc" \
	"q35 2816M 0x12ffffffc" "microvm 3072M 0xbffffffc" "microvm 3073M 0x1000ffffc"; do
	# shellcheck disable=SC2086 # words
	set -- $each
	qemu_opts="--memory $2"
	start_qemu -M "$1"
	sees "$3" 05
	end "$pid"
done
