#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A guest becomes its clone, and the command is killed on the way, with the guest's holder or without. As long
# as its memory is not closed the guest goes on where it was; from then on it is the clone's. Never is it in two
# places, and what is left of the other one ends.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
future_write=0x10 # F_SEAL_FUTURE_WRITE

make_guest
run_opts=--template

boot_template()
{
	rm -f "$tmp/serial" "$tmp/clone"
	boot "$mine" "$tmp/serial"
	guest=$pid
	qemu_pid=$(tr -d ' ' <"/proc/$guest/task/$guest/children")
	at=$(last "$tmp/serial")
}

# clone ENV... -- OPTION...: in the background, and until it has ended
clone()
{
	variables=
	while [ "$1" != -- ]; do
		variables="$variables $1"
		shift
	done
	shift
	qemu "$tmp/clone"
	# shellcheck disable=SC2086 # words
	env $variables "$VAS" clone --private "$@" "$mine" -- $command -append "$append" \
		>"$tmp/ref" 2>"$tmp/clone.err" &
	pid=$!
	started="$started $pid"
}

has_ended()
{
	! kill -0 "$1"
}

# Whatever command comes next.
nothing_is_left()
{
	"$VAS" create --memory 1M -- true && run_folder_is_empty
}

one_guest_is_left()
{
	"$VAS" create --memory 1M -- true
	set -- "$VAS_RUN_DIR"/*
	[ $# = 1 ]
}

resumes()
{
	"$VAS" resume "$mine" 2>"$tmp/resume.err"
}

# All is prepared and the guest stands, but its memory is not closed: it goes on, and its clone ends.
boot_template
# shellcheck disable=SC2016 # of the shell that the command starts
clone -- --disks 'kill -KILL $PPID'
wait "$pid" || true
counts_on "$tmp/serial" "$(last "$tmp/serial")"
wait_until one_guest_is_left
expect 0 resume "$mine"
counts_on "$tmp/serial" "$(last "$tmp/serial")"
[ ! -s "$tmp/clone" ] || die "the clone ran: $(cat "$tmp/clone")"
is_gapless "$tmp/serial" 1

# Its memory is closed: its holder ends it, and the clone stands until it is told to go on.
clone LD_PRELOAD="$DIES_AT_SEAL" DIES_AT=$future_write --
wait "$pid" || true
code=0
wait "$guest" || code=$?
is_equal "$code" 0 "the QEMU that became a clone"
[ ! -s "$tmp/clone" ] || die "the clone ran by itself: $(cat "$tmp/clone")"
at=$(last "$tmp/serial")
wait_until resumes
counts_on "$tmp/clone" "$at"
cat "$tmp/serial" "$tmp/clone" >"$tmp/all"
is_gapless "$tmp/all" 1
expect 0 pause "$mine"
kill -KILL "$(pgrep -f "file:$tmp/clone ")"
wait_until nothing_is_left

# The holder is killed, too, before: the next command ends what is left of the guest.
boot_template
clone LD_PRELOAD="$DIES_AT_SEAL" DIES_AT=$future_write -- --disks "kill -KILL $guest"
wait "$pid" || true
wait "$guest" || true
kill -0 "$qemu_pid" || die "the guest's QEMU has ended by itself: this tests nothing"
at=$(last "$tmp/serial")
wait_until resumes
counts_on "$tmp/clone" "$at"
is_equal "$(last "$tmp/serial")" "$at" "it runs here and there"
wait_until has_ended "$qemu_pid"
cat "$tmp/serial" "$tmp/clone" >"$tmp/all"
is_gapless "$tmp/all" 1
kill -KILL "$(pgrep -f "file:$tmp/clone ")"
wait_until nothing_is_left

# Without the holder alone, the command goes on by itself.
boot_template
clone -- --disks "kill -KILL $guest"
wait_until is_created
[ -s "$tmp/ref" ] || die "vas clone: $(cat "$tmp/clone.err")"
counts_on "$tmp/clone" "$(last "$tmp/serial")"
wait_until has_ended "$qemu_pid"
end "$pid"
wait_until nothing_is_left
