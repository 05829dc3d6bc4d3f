#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A Linux guest that counts, checks its memory and writes all the time is sent while it runs, twice, and so is what a
# process that is bound to its vas writes: it goes on there with the next number, and most of its memory went in
# rounds before it stood. A destination, or a command, that is killed half-way leaves the guest where it was.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
# shellcheck source-path=SCRIPTDIR source=churning.sh
. "$(dirname "$0")/churning.sh"
need python3

# receive SERIAL: in the background; $receiver
receive()
{
	qemu "$1"
	: >"$tmp/ref"
	# shellcheck disable=SC2086 # words
	"$VAS" receive --wait 600 "unix:$tmp/sock" -- $command -append "$append" >"$tmp/ref" 2>"$tmp/receive.err" &
	receiver=$! pid=$!
	started="$started $receiver"
	wait_until test -S "$tmp/sock"
}

# begin_to_send OPTION...: in the background; $sender
begin_to_send()
{
	: >"$tmp/progress"
	"$VAS" send --json "$@" "$mine" "unix:$tmp/sock" >"$tmp/progress" 2>"$tmp/send.err" &
	sender=$!
	started="$started $sender"
}

# Some of the memory has gone, and not all of it.
is_half_way()
{
	kill -0 "$sender" || die "vas send: $(cat "$tmp/send.err")"
	[ "$(tail -n 1 "$tmp/progress" | sed -n 's/.*"on_the_wire": *\([0-9]*\).*/\1/p')" -gt 4000000 ]
}

# The QEMU with that console runs.
is_there()
{
	for cmdline in /proc/[0-9]*/cmdline; do
		! tr '\0' ' ' 2>/dev/null <"$cmdline" | grep -q "qemu-system.* file:$1 " || return 0
	done
	return 1
}

is_gone()
{
	! is_there "$1"
}

# The destination is killed, then the command. What waits there for the guest ends as well.
for killed in receiver sender; do
	receive "$tmp/nowhere"
	before=$(last "$serial")
	begin_to_send --rate 10M
	wait_until is_half_way
	counts_on "$serial" "$before"
	wait_until is_there "$tmp/nowhere"
	eval "kill -KILL \$$killed"
	code=0
	wait "$sender" || code=$?
	[ "$killed" = sender ] || is_equal "$code" 3 "$(cat "$tmp/send.err")"
	wait "$receiver" || true
	rm -f "$tmp/sock"
	wait_until is_gone "$tmp/nowhere"
	counts_on "$serial" "$(last "$serial")"
	[ ! -s "$tmp/nowhere" ] || die "it went on elsewhere: $(cat "$tmp/nowhere")"
done

# To a file it is copied, and goes on here.
expect 0 send --max-downtime=300000 "$mine" "$tmp/stream"
grep -aq with-ram "$tmp/stream" || die "it was sent while it stood"
counts_on "$serial" "$(last "$serial")"

receive "$tmp/there"
before=$(last "$serial")
begin_to_send --downtime 50 --compress lz4
wait "$sender" || die "vas send: $(cat "$tmp/send.err")"
went_in_rounds
wait "$guest" || die "the QEMU that the guest has left"
kill "$binder" 2>/dev/null || true
wait "$binder" || true
! [ -s "$tmp/binder.err" ] || grep -q "in round" "$tmp/binder.err" || die "the binder: $(cat "$tmp/binder.err")"
wait_until is_created
counts_on "$tmp/there" "$(last "$serial")"

# The page of who was bound is of one moment.
ref=$(cat "$tmp/ref")
expect 0 read "$ref" 0x1000000000 4096 --raw
python3 - "$tmp/out" <<-END || die "the page is torn"
	import struct, sys
	words = struct.unpack("<512Q", open(sys.argv[1], "rb").read())
	sys.exit(words[0] == 0 or any(word != words[0] + i for i, word in enumerate(words)))
END

# And once more.
guest=$receiver
receive "$tmp/beyond"
begin_to_send --downtime 50
wait "$sender" || die "vas send: $(cat "$tmp/send.err")"
went_in_rounds
wait "$guest" || die "the QEMU that the guest has left: $(cat "$tmp/receive.err")"
wait_until is_created
counts_on "$tmp/beyond" "$(last "$tmp/there")"
cat "$serial" "$tmp/there" "$tmp/beyond" >"$tmp/all"
is_gapless "$tmp/all" 1
end "$receiver"
wait_until run_folder_is_empty
