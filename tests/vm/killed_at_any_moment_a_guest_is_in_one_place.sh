#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Commands that save and move a guest are killed at random moments, at either side. Afterwards it runs in
# exactly one place, or stands in one from which it goes on, with its memory as it was; a file is whole or not
# there. TEST_ROUNDS: how often; TEST_SEED.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"

# shellcheck source-path=SCRIPTDIR source=random_kill.sh
. "$(dirname "$0")/random_kill.sh"

# background COMMAND...: into $pid
background()
{
	"$VAS" "$@" >"$tmp/bg.out" 2>"$tmp/bg.err" &
	pid=$!
	started="$started $pid"
}

goes_on()
{
	counts_on "$serial" "$(last "$serial")"
}

# What else there is of the guest must not get any further while it does.
stands()
{
	at=$(last "$1")
	goes_on
	is_equal "$(last "$1")" "$at" "it runs here and there"
}

save_and_kill()
{
	rm -f "$tmp/snapshot"
	background snapshot "$guest" "$tmp/snapshot"
	kill_soon "$pid"
	wait "$pid" || true
	goes_on
	[ ! -e "$tmp/snapshot" ] || expect 0 restore --show "$tmp/snapshot"
}

has_come_or_ended()
{
	[ -s "$tmp/come" ] || ! kill -0 "$receiver" 2>/dev/null
}

# Of the QEMU at the other side, whose holder may be dead: by where it prints.
end_other()
{
	for other in $(pgrep -f "file:$1 ") $(pgrep -f "file:$1\$"); do
		started="$started $other"
		kill -KILL "$other" 2>/dev/null || true
	done
}

move_and_kill()
{
	rm -f "$tmp/sock"
	: >"$tmp/come"
	there=$tmp/serial-$round
	qemu "$there"
	# shellcheck disable=SC2086 # words
	"$VAS" receive --wait 10 "unix:$tmp/sock" -- $command -append "$append" >"$tmp/come" 2>"$tmp/come.err" &
	receiver=$!
	started="$started $receiver"
	wait_until test -S "$tmp/sock"
	background send "$guest" "unix:$tmp/sock"
	sender=$pid
	if [ "$1" = sender ]; then kill_soon "$sender"; else kill_soon "$receiver"; fi
	sent=0
	wait "$sender" || sent=$?
	wait_until has_come_or_ended
	if [ -s "$tmp/come" ] || [ "$sent" = 0 ]; then
		# It has moved; at most it stands here still.
		before=$serial serial=$there
		[ "$sent" != 0 ] || [ "$1" = sender ] || "$VAS" resume "$guest" 2>/dev/null || true
		# The sender was killed before it heard that all has come: nobody but we can know.
		! grep -q "stands still: 'vas resume'" "$tmp/come.err" || "$VAS" resume "$(cat "$tmp/come")"
		stands "$before"
		kill -KILL "$holder" 2>/dev/null || true
		end_other "$before"
		holder=$receiver
		[ ! -s "$tmp/come" ] || guest=$(cat "$tmp/come")
	else
		# Where it was it is, and goes on if it is told to.
		"$VAS" resume "$guest"
		if [ -s "$there" ]; then stands "$there"; else goes_on; fi
		end_other "$there"
	fi
}

make_guest
boot "$mine" "$tmp/serial"
holder=$pid guest=$mine serial=$tmp/serial
round=0
while [ "$round" -lt "${TEST_ROUNDS:-6}" ]; do
	round=$((round + 1))
	echo "# round $round, next seed $seed"
	save_and_kill
	move_and_kill sender
	round=$((round + 1))
	move_and_kill receiver
done

all_have_ended()
{
	! pgrep -f "file:$tmp/serial" && ! kill -0 "$holder"
}
end_other "$serial"
wait_until all_have_ended
# Nothing is left once somebody has looked; a process that dies gives up its locks late.
nothing_is_left()
{
	"$VAS" create --memory 1M -- true && run_folder_is_empty
}
wait_until nothing_is_left
