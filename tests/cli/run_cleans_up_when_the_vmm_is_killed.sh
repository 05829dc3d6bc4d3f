#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# QEMU killed: vas run ends with 128 + 9, and nothing stays behind; with --keep, its memory does until a
# signal. vas ls is asked all the while.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=qemu.sh
. "$(dirname "$0")/qemu.sh"

qemu_pid()
{
	for status in /proc/[0-9]*/status; do
		grep -q "^PPid:[[:space:]]*$1\$" "$status" 2>/dev/null || continue
		status=${status%/status}
		echo "${status#/proc/}"
		return
	done
	return 1
}

(while [ -e "$tmp" ]; do "$VAS" ls || echo failed >>"$tmp/failed"; done >/dev/null 2>&1) &
lister=$!
started="$started $lister"

start_qemu -m 64M
expect 0 write "$mine" 0x2000 --string "last words"
kill -KILL "$(qemu_pid "$pid")"
code=0
wait "$pid" || code=$?
is_equal "$code" 137
grep -q "qemu-system-x86_64 was ended by signal 9 (Killed)" "$tmp/qemu.err" || die "it says nothing"
expect 1 info "$mine"

qemu_opts=--keep
start_qemu -m 64M
expect 0 write "$mine" 0x2000 --string "last words"
kill -KILL "$(qemu_pid "$pid")"
wait_until grep -q "the memory stays at $pid/" "$tmp/qemu.err"
expect 0 find "$mine" "last words"
out_is 0x2000
end "$pid"
is_equal "$code" 137
expect 1 info "$mine"

# vas run itself killed: the guest goes on, its memory is there, and has no owner.
qemu_opts=
start_qemu -m 64M
qemu=$(qemu_pid "$pid")
started="$started $qemu"
kill -KILL "$pid"
wait "$pid" || true
expect 0 write "$mine" 0x2000 --hex 41424344
pid=$qemu
monitor "xp /4xb 0x2000" "0x41 0x42 0x43 0x44"
expect 0 ls
grep -q "^$mine .* none " "$tmp/out" || die "owned by whom? $(cat "$tmp/out")"
echo quit >&9
wait_until sh -c "! kill -0 $qemu"

kill "$lister"
wait "$lister" || true
[ ! -e "$tmp/failed" ] || die "vas ls failed at times"
