# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Killing processes at random moments; to be sourced after ../cli/lib.sh. TEST_SEED: of the moments.
#
#	random MAX		a number below that: $random
#	lives PID		it has not ended, and is not about to
#	kill_soon PID...	within 0.4 s, or $kill_within milliseconds

seed=${TEST_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
echo "# seed $seed"

random()
{
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	random=$((seed / 65536 % $1))
}

lives()
{
	case $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) in '' | Z | X) return 1 ;; esac
}

kill_soon()
{
	random "${kill_within:-400}"
	sleep "$((random / 1000)).$(printf %03d "$((random % 1000))")" # the moment of the kill: any will do
	kill -KILL "$@" 2>/dev/null || true
}
