#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# vm.sh reports what happens in the machine: passes, failures of each kind, skips, panics, timeouts.
#
# usage: harness_reports.sh MISBEHAVE   (the program of guest/misbehave.c)
set -eu

vm=$(cd "$(dirname "$0")/../../scripts" && pwd)/vm.sh
program=$1
bad=0
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# expect STATUS LINE... : the last run ended so, and printed these lines among others, in this order
expect()
{
	[ "$status" != 77 ] || [ "$1" = 77 ] || {
		cat "$temp/out"
		exit 77
	}
	[ "$status" = "$1" ] || complain "exit status $status instead of $1"
	shift
	printf '%s\n' "$@" >"$temp/wanted"
	grep -v '^#' "$temp/out" | diff "$temp/wanted" - >"$temp/diff" || complain "other results:"
}

complain()
{
	bad=1
	echo "not ok - $*"
	cat "$temp/diff" "$temp/out" 2>/dev/null || :
}

run()
{
	status=0
	"$vm" --accel tcg "$@" >"$temp/out" 2>&1 || status=$?
}

echo data >"$temp/file"
run --timeout 1200 --limit 600 --run "$program pass" --run "$program fail" \
	--run "$program skip" --run "$program die" --run "$program leave-child" \
	--run "$program log-warning" --run "$program pass /a/b" \
	--file "$temp/file:/here/" --run "$program need /here/file" \
	--env WORD=yes --run "$program env WORD yes" --run "$program panic" --run "$program pass"
expect 1 'ok misbehave pass' \
	'not ok misbehave fail # exit status 3: going to fail' \
	'skip misbehave skip # going to skip' \
	'not ok misbehave die # killed by signal 11' \
	'ok misbehave leave-child' \
	'not ok misbehave log-warning # the kernel logged the 1 lines above' \
	'ok misbehave pass /a/b' \
	'ok misbehave need /here/file' \
	'ok misbehave env WORD yes' \
	'not ok misbehave panic # the kernel died' \
	'5 passed, 4 failed, 1 skipped'
grep -q '^# WARNING: made up by a test$' "$temp/out" || complain "the alarming line is not shown"
grep -q 'sysrq triggered crash' "$temp/out" || complain "the end of the console is not shown"

run --timeout 1200 --run "$program skip"
expect 77 'skip misbehave skip # going to skip' '0 passed, 0 failed, 1 skipped'

run --timeout 1200 --limit 2 --run "$program hang"
expect 1 'not ok misbehave hang # not done after 2 s' '0 passed, 1 failed, 0 skipped'

# All the time that there is: on a busy machine it may be over before the program has begun.
for seconds in 15 60 240 960; do
	run --timeout $seconds --run "$program hang"
	! grep -q '^not ok misbehave hang' "$temp/out" || break
done
expect 1 "not ok misbehave hang # not done after $seconds s" '0 passed, 1 failed, 0 skipped'

run --timeout 1200 --module "$temp/file" --run "$program pass"
expect 1 'not ok load file # Exec format error' '0 passed, 1 failed, 0 skipped'

# What QEMU has to answer for is no failure of what runs in the machine: all of it is run again.
truncate -s 512 "$temp/disk"
run --timeout 1200 --modprobe virtio_pci --modprobe virtio_blk --run "$program pass" \
	--run "$program die-of-qemu /dev/vda" -- -drive "if=virtio,format=raw,file=$temp/disk"
expect 0 'ok misbehave pass' 'ok misbehave pass' 'ok misbehave die-of-qemu /dev/vda' \
	'2 passed, 0 failed, 0 skipped'
grep -q '^# misbehave die-of-qemu /dev/vda: QEMU ran code that had been patched; all is run again$' \
	"$temp/out" || complain "why all is run again is not said"

run -- -no-such-option
expect 1 'not ok boot # QEMU failed' '0 passed, 1 failed, 0 skipped'

[ $bad = 0 ] || exit 1
echo "ok - every outcome is reported"
