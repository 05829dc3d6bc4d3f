# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Guests that are told what to do by their console; to be sourced after counting.sh.
#
#	make_pipe			for the console: what it prints is in $tmp/serial
#	boot_with_pipe			vas run in the background: $pid; the guest has counted to 3
#	say fill 200			to the guest
#	ask_memory			what its kernel manages: $memory
#	has_more 256			wait until that is $first and so many MiB more

# say WORDS...: to the guest, by its console
say()
{
	echo "$*" >"$tmp/pipe.in"
}

has_said()
{
	grep -q "$1" "$tmp/serial"
}

# What the guest's kernel manages, into $memory
ask_memory()
{
	said=$(grep -c "^memory: " "$tmp/serial" || true)
	say memory
	wait_until has_said_more
	memory=$(sed -n 's/^memory: \([0-9]*\) MiB.*/\1/p' "$tmp/serial" | tail -n 1)
}

has_said_more()
{
	[ "$(grep -c "^memory: " "$tmp/serial")" -gt "$said" ]
}

# has_more MIB: than it had at first
has_more()
{
	tries=1500
	ask_memory
	until [ "$memory" = $((first + $1)) ]; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || die "the guest has $memory MiB, not $first and $1"
		sleep 0.2 # between two looks
		ask_memory
	done
}

make_pipe()
{
	rm -f "$tmp/pipe.in" "$tmp/pipe.out"
	: >"$tmp/serial"
	mkfifo "$tmp/pipe.in" "$tmp/pipe.out"
	cat "$tmp/pipe.out" >"$tmp/serial" &
	started="$started $!"
}

boot_with_pipe()
{
	make_pipe
	qemu null
	command="${command%-serial*} ${command#*-serial file:null}"
	# shellcheck disable=SC2086 # words
	"$VAS" run --name "$mine" -- $command -append "$append" -serial "pipe:$tmp/pipe" ${more:-} \
		>"$tmp/run.out" 2>"$tmp/run.err" &
	pid=$!
	started="$started $pid"
	counts_on "$tmp/serial" 0
}
