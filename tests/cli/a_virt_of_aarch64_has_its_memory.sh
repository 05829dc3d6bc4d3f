#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A QEMU of aarch64, machine virt, has its RAM where the vas says, from 1 GiB on, and is saved and restored. A virt of
# another architecture, whose RAM is elsewhere, is refused.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
qemu_program=qemu-system-aarch64
# shellcheck source-path=SCRIPTDIR source=qemu.sh
. "$(dirname "$0")/qemu.sh"

sees()
{
	expect 0 write "$mine" "$1" --hex "56 41 53 $2"
	monitor "xp /4xb $1" "0x56 0x41 0x53 0x$2"
}

for machine in virt virt-7.2; do
	start_qemu -M "$machine" -cpu cortex-a57 -m 5G
	sees 0x40000000 01
	sees 0x100000000 02
	sees 0x17ffffffc 03
	expect 4 read "$mine" 0x3ffffffc 4 --hex
	expect 4 read "$mine" 0x180000000 4 --hex
	expect 0 info "$mine" --json
	[ "$machine" = virt ] || break
	end "$pid"
	is_equal "$code" 0
done

# It is saved and restored with its devices, as any.
monitor cont "(qemu)"
expect 0 snapshot "$mine" "$tmp/snapshot"
end "$pid"
: >"$tmp/ref"
"$VAS" restore --paused "$tmp/snapshot" <"$tmp/monitor" >"$tmp/ref" 2>"$tmp/err" &
pid=$!
started="$started $pid"
wait_until grep -q / "$tmp/ref"
expect 0 read "$(grep -o '[0-9]*/[0-9]*' "$tmp/ref")" 0x17ffffffc 4 --raw
is_equal "$(od -An -tx1 "$tmp/out")" " 56 41 53 03"
end "$pid"

expect 2 run -- qemu-system-riscv64 -M virt -m 1G
err_has "qemu-system-riscv64 -machine virt: where it has its RAM is known of aarch64's alone"
