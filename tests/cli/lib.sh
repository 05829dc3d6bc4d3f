# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# What the tests of the vas command share; to be sourced. $VAS is the command under test.
#
#	create guest --memory 64M	# in the background: $pid and $ref (PID/FD) are set
#	run_vas read guest 0 16 --hex	# $code, and $tmp/out and $tmp/err
#	expect 0 read guest 0 16 --hex	# the same, and the exit code must be 0
#	out_is TEXT / err_has TEXT	# of the command that ran last
set -eu

# Not as nohup(1) leaves it: a shell cannot take SIGHUP back itself.
[ -n "${HUP_IS_DEFAULT-}" ] || HUP_IS_DEFAULT=1 exec env --default-signal=HUP "$0" "$@"

VAS=${VAS:-vas}
tmp=$(mktemp -d)
VAS_RUN_DIR=$tmp/run
export VAS_RUN_DIR
# shellcheck disable=SC2034 # for the tests
mine=vas-test-$$ # begins the names of vas that this test makes
started=
is_waiting=

# Whatever a test leaves is ended, and waited for, by its process id.
clean_up()
{
	for process in $started; do
		kill "$process" 2>/dev/null || continue
		wait "$process" 2>/dev/null || true
	done
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

# In what wait_until runs, which is not heard, it is wait_until that ends the test.
die()
{
	[ -z "$is_waiting" ] || {
		echo "$*" >>"$tmp/died"
		return 1
	}
	echo "FAILED: $*" >&2
	exit 1
}

skip()
{
	echo "skip: $*"
	exit 77
}

need()
{
	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

# wait_until COMMAND...: true within five minutes, or the test fails, as it does if COMMAND dies
wait_until()
{
	deadline=$(($(date +%s) + 300))
	is_waiting=1
	until "$@" >/dev/null 2>&1 || [ -e "$tmp/died" ]; do
		[ "$(date +%s)" -lt "$deadline" ] || die "never came true: $*" || break
		sleep 0.02 # between two looks
	done
	is_waiting=
	[ ! -e "$tmp/died" ] || die "$(cat "$tmp/died")"
}

run_vas()
{
	code=0
	"$VAS" "$@" >"$tmp/out" 2>"$tmp/err" || code=$?
	ran="vas $*"
}

expect()
{
	wanted=$1
	shift
	run_vas "$@"
	[ "$code" = "$wanted" ] && return
	cat "$tmp/err" >&2
	die "$ran: exit code $code, not $wanted"
}

out_is()
{
	[ "$(cat "$tmp/out")" = "$1" ] || die "$ran: printed '$(cat "$tmp/out")', not '$1'"
}

out_has()
{
	grep -qF -e "$1" "$tmp/out" || die "$ran: '$1' is not in '$(cat "$tmp/out")'"
}

err_is()
{
	[ "$(cat "$tmp/err")" = "$1" ] || die "$ran: said '$(cat "$tmp/err")', not '$1'"
}

err_has()
{
	grep -qF -e "$1" "$tmp/err" || die "$ran: '$1' is not in '$(cat "$tmp/err")'"
}

is_equal()
{
	[ "$1" = "$2" ] || die "'$1' is not '$2'${3:+: $3}"
}

is_created()
{
	[ -s "$tmp/ref" ] || ! kill -0 "$pid"
}

# create NAME OPTION...: a vas, held by a process in the background
create()
{
	: >"$tmp/ref"
	"$VAS" create --name "$@" >"$tmp/ref" 2>"$tmp/create.err" &
	pid=$!
	started="$started $pid"
	wait_until is_created
	ref=$(cat "$tmp/ref")
	[ -n "$ref" ] || die "vas create --name $*: $(cat "$tmp/create.err")"
}

# end PID: ask it to end, and set $code to its exit code
end()
{
	kill "$1"
	code=0
	wait "$1" || code=$?
}

# json EXPRESSION: of the output as JSON, which is `j` in this Python expression
json()
{
	need python3
	python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
		"$tmp/out" "$1" || die "$ran: $1: not in '$(cat "$tmp/out")'"
}

# resident NAME: bytes of guest memory that are there
resident()
{
	"$VAS" info "$1" --json >"$tmp/out"
	ran="vas info $1"
	json "j['resident']"
}
