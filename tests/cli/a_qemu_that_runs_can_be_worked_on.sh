#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A QEMU under vas run is paused, saved and started again, whatever else its user has it do: monitors,
# -daemonize, -incoming, disks. Killed at any moment, the command, its holder or QEMU leave a guest that runs,
# or none.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=qemu.sh
. "$(dirname "$0")/qemu.sh"
need python3

# is_status running|paused: what QEMU's own monitor says
is_status()
{
	monitor "info status" "VM status:"
	grep -qF "VM status: $1" "$tmp/answers"
}

must_be()
{
	is_status "$1" || die "the guest is not $1: $(cat "$tmp/answers" "$tmp/qemu.err")"
}

qemu_pid()
{
	cut -d ' ' -f 1 "/proc/$1/task/$1/children"
}

folder_is_empty()
{
	[ -z "$(ls -A "$VAS_RUN_DIR")" ]
}

slow_snapshot()
{
	rm -f "$tmp/waits" "$tmp/go" "$tmp/snapshot"
	"$VAS" snapshot --disks "touch $tmp/waits; until [ -e $tmp/go ]; do sleep 0.02; done" "$mine" "$tmp/snapshot" \
		>"$tmp/slow.out" 2>"$tmp/slow.err" 9>&- &
	borrower=$!
	started="$started $borrower"
	wait_until test -e "$tmp/waits"
}

# ---- beside the user's monitors: one on stdin, one of QMP -----------------------------------------

start_qemu -M q35 -m 64M -qmp "unix:$tmp/own.qmp,server=on,wait=off"
monitor cont "(qemu)"
must_be running
expect 0 pause "$mine"
must_be paused
# What stands is saved once, until it has run.
expect 0 snapshot "$mine" "$tmp/snapshot"
expect 3 snapshot "$mine" "$tmp/snapshot"
err_has "the guest stands since it was saved"
expect 0 resume "$mine"
must_be running
expect 0 snapshot "$mine" "$tmp/snapshot"
must_be running
expect 0 restore --show "$tmp/snapshot"
out_has "unix:$tmp/own.qmp,server=on,wait=off"
python3 - "$tmp/snapshot" <<'END'
import sys
assert b'"machine":"pc-q35-' in open(sys.argv[1], "rb").read(), "the machine type is not pinned"
END

# The command is killed while the guest stands for it: the guest goes on.
slow_snapshot
must_be paused
kill -KILL "$borrower"
wait "$borrower" || true
touch "$tmp/go"
wait_until is_status running
wait_until grep -q "the guest goes on" "$tmp/qemu.err"
[ ! -e "$tmp/snapshot" ] || die "a file of a command that was killed"
expect 0 snapshot "$mine" "$tmp/snapshot"

# The holder is killed: the command ends its work, and others work on without it.
slow_snapshot
qemu=$(qemu_pid "$pid")
started="$started $qemu"
kill -KILL "$pid"
wait "$pid" || true
touch "$tmp/go"
wait "$borrower" || die "$(cat "$tmp/slow.err")"
pid=$qemu
must_be running
expect 0 pause "$mine"
expect 0 resume "$mine"
expect 0 snapshot "$mine" "$tmp/again"

# A receiver that has no QEMU for it does not get it: never are there two.
"$VAS" receive --wait 60 "unix:$tmp/sock" >"$tmp/ref" 2>"$tmp/receive.err" 9>&- &
receiver=$!
started="$started $receiver"
wait_until test -S "$tmp/sock"
expect 3 send "$mine" "unix:$tmp/sock"
must_be running
wait "$receiver" && die "received without its QEMU"
kill -KILL "$qemu"
wait_until sh -c "! kill -0 $qemu"

# QEMU is killed when its state is saved: the file is whole, and a guest goes on from it.
start_qemu -M q35 -m 64M
is_equal "$(find "$VAS_RUN_DIR" -mindepth 1 -maxdepth 1 | wc -l)" 1
slow_snapshot
kill -KILL "$(qemu_pid "$pid")"
touch "$tmp/go"
wait "$borrower" || die "$(cat "$tmp/slow.err")"
code=0
wait "$pid" || code=$?
is_equal "$code" 137
wait_until folder_is_empty
exec 9>&-
: >"$tmp/ref"
"$VAS" restore "$tmp/snapshot" -- qemu-system-x86_64 -M q35 -accel tcg -nodefaults -display none -m 64M \
	-S >"$tmp/ref" 2>"$tmp/restore.err" &
pid=$!
started="$started $pid"
wait_until is_created
[ -s "$tmp/ref" ] || die "$(cat "$tmp/restore.err")"
expect 0 pause "$(cat "$tmp/ref")"
end "$pid"

# ---- a command that does not fit the guest --------------------------------------------------------

expect 3 restore "$tmp/snapshot" -- sh -c "echo no"
err_has "'sh' is no QEMU"
expect 2 restore "$tmp/snapshot" -- qemu-system-x86_64 -m 128M
err_has "-m 128M contradicts the 64 MiB"
expect 3 restore "$tmp/snapshot" -- qemu-system-x86_64 -M q35 -accel tcg -display none -m 64M -nodefaults -no-such-option
err_has "has ended with 1"
chmod 666 "$tmp/snapshot"
expect 3 restore "$tmp/snapshot"
err_has "others can write this file"
chmod 600 "$tmp/snapshot"

# ---- disks ----------------------------------------------------------------------------------------

truncate -s 1M "$tmp/disk"
start_qemu -M q35 -m 64M -drive "file=$tmp/disk,format=raw,if=virtio"
monitor cont "(qemu)"
expect 3 snapshot "$mine" "$tmp/with-disk"
err_has "the guest may write to its disk $tmp/disk"
expect 3 snapshot --disks false "$mine" "$tmp/with-disk"
err_has "the command of --disks failed"
[ ! -e "$tmp/with-disk" ]
# shellcheck disable=SC2016 # for the shell that copies
expect 0 snapshot --disks 'cp "'"$tmp"'/disk" "$VAS_SNAPSHOT.disk"' "$mine" "$tmp/with-disk"
cmp "$tmp/disk" "$tmp/with-disk.disk"
end "$pid"
expect 3 restore "$tmp/with-disk" -- qemu-system-x86_64 -M q35 -accel tcg -nodefaults -display none -m 64M
err_has "does not take the guest's state, which is of pc-q35-"

# ---- in the background ----------------------------------------------------------------------------

q="qemu-system-x86_64 -M microvm -accel tcg -nodefaults -display none -m 64M -daemonize -pidfile $tmp/pidfile"
# shellcheck disable=SC2086 # words
expect 0 run --name "$mine" -- $q
qemu=$(cat "$tmp/pidfile")
started="$started $qemu"
kill -0 "$qemu"
expect 0 pause "$mine"
expect 0 resume "$mine"
expect 0 snapshot "$mine" "$tmp/daemon"
kill "$qemu"
wait_until folder_is_empty
expect 1 info "$mine"
expect 0 restore "$tmp/daemon"
expect 0 info "$mine"
kill "$(cat "$tmp/pidfile")"
wait_until folder_is_empty
# shellcheck disable=SC2086 # words
expect 1 run --name "$mine" -- $q -no-such-option
wait_until folder_is_empty

# ---- one that waits for its guest -----------------------------------------------------------------

start_qemu -M q35 -m 64M -incoming defer
expect 3 snapshot "$mine" "$tmp/incoming"
err_has "neither runs nor stands: QEMU calls it 'inmigrate'"
end "$pid"

# ---- memory that another QEMU takes over ----------------------------------------------------------

start_qemu -M q35 -m 64M
expect 0 write "$mine" 0x2000 --string "stays"
fd=$(find "/proc/$pid/fd" -lname "/memfd:vas:$mine*" | head -n 1)
qemu-system-x86_64 -accel tcg -S -M q35,memory-backend=ram -m 64M -nodefaults -display none -no-shutdown \
	-object "memory-backend-file,id=ram,mem-path=$fd,share=on,size=64M" 9>&- &
next=$!
started="$started $next"
maps_it()
{
	grep -q "memfd:vas:$mine" "/proc/$next/maps"
}
wait_until maps_it
kill -KILL "$(qemu_pid "$pid")"
wait_until grep -q "process $next (qemu-system-x86) goes on in the memory" "$tmp/qemu.err"
expect 0 read "$mine" 0x2000 5 --raw
out_is stays
# It has no monitor of ours, and cannot be stopped.
expect 3 snapshot "$mine" "$tmp/foreign"
err_has "mapped by process $next"
kill -KILL "$next"
wait "$next" || true
code=0
wait "$pid" || code=$?
is_equal "$code" 137
wait_until folder_is_empty
