# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A QEMU whose monitor the tests speak to; to be sourced after lib.sh.
#
#	start_qemu -M q35			# vas run in the background: $pid; halted, without devices
#	monitor "xp /1xw 0x1000" 0x41424344	# a command, and what its answer must have in it

qemu_program=${qemu_program:-qemu-system-x86_64}
need "$qemu_program"
qemu_opts=	# of vas run

start_qemu()
{
	rm -f "$tmp/monitor"
	mkfifo "$tmp/monitor"
	: >"$tmp/answers"
	# shellcheck disable=SC2086 # words
	"$VAS" run --name "$mine" $qemu_opts -- "$qemu_program" -accel tcg -S -nodefaults \
		-display none -monitor stdio "$@" <"$tmp/monitor" >"$tmp/answers" 2>"$tmp/qemu.err" &
	pid=$!
	started="$started $pid"
	exec 9<>"$tmp/monitor"
	wait_until has_answered "QEMU "
	# Its machine is there then, and what firmware there is in its memory.
	monitor "info status" "VM status:"
}

has_answered()
{
	grep -qF -e "$1" "$tmp/answers" && return
	kill -0 "$pid" || die "vas run has ended: $(cat "$tmp/qemu.err")"
	return 1
}

monitor()
{
	: >"$tmp/answers"
	echo "$1" >&9
	wait_until has_answered "$2"
}
