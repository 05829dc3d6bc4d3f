# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Long tests step by step, that end as test.sh: N passed, N failed, N skipped. To be sourced; $log is
# where all output goes.

passed=0 failed=0 skipped=0

say()
{
	echo "$*" >&2
}

die()
{
	say "$*"
	exit 1
}

# step NAME COMMAND...: counted; false if it fails. 77: it was skipped, and its last line says why.
step()
{
	step_name=$1 step_status=0
	shift
	"$@" >"$log.step" 2>&1 || step_status=$?
	case $step_status in
	0)
		echo "ok $step_name"
		passed=$((passed + 1))
		cat "$log.step" >>"$log"
		return
		;;
	77)
		skip "$step_name" "$(tail -n 1 "$log.step" | sed 's/^skip: //')"
		return
		;;
	esac
	echo "not ok $step_name"
	tail -n 30 "$log.step" | sed 's/^/# /'
	failed=$((failed + 1))
	cat "$log.step" >>"$log"
	return 1
}

skip()
{
	echo "skip $1: $2"
	skipped=$((skipped + 1))
}

# chroot_step SUITE FOLDER [OTHER-SUITE...]: a clean Debian; false, and said why, if there can be none
chroot_step()
{
	lack=$(chroot_lack)
	if [ -n "$lack" ]; then
		skip "$1" "$lack"
		return 1
	fi
	chroot_make "$@" >"$log.step" 2>&1 && return
	skip "$1" "no such system can be made: $(tail -n 1 "$log.step")"
	return 1
}

steps_end()
{
	rm -f "$log.step"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ]
}
