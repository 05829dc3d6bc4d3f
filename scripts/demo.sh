#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The main job, from nothing: a stock Linux in an unmodified QEMU whose RAM is a vas, and other processes
# at work in its memory that were given nothing but the fd. A second act: a guest is saved while it runs, and
# cloned. With --kvm, a third: a KVM guest and a device process that talk through memory, doorbell and interrupt.
set -eu

cd "$(dirname "$0")/.."
case ${1:-} in
'' | --kvm) ;;
*)
	echo "usage: ./dev demo [--kvm]"
	exit 2
	;;
esac

temp=$(mktemp -d)
run_pid='' vmm_pid=''

cleanup()
{
	[ -z "$vmm_pid" ] || kill -KILL "$vmm_pid" 2>/dev/null || :
	[ -z "$run_pid" ] || kill "$run_pid" 2>/dev/null || :
	[ -z "$run_pid" ] || wait "$run_pid" 2>/dev/null || :
	rm -rf "$temp"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

now()
{
	date +%s%N
}

start=$(now)
say()
{
	printf '%6d ms  %s\n' $((($(now) - start) / 1000000)) "$*"
}

fail()
{
	echo "demo: $*" >&2
	[ ! -s "$temp/console" ] || tail -n 20 "$temp/console" | sed 's/^/  console: /' >&2
	exit 1
}

# Until the console has the pattern, or so many seconds have passed.
await()
{
	pattern=$1 deadline=$(($(now) + $2 * 1000000000))
	while ! grep -qa -- "$pattern" "$temp/console" 2>/dev/null; do
		kill -0 "$run_pid" 2>/dev/null || fail "the VMM is gone before the guest said '$pattern'"
		[ "$(now)" -lt "$deadline" ] || fail "the guest did not say '$pattern' within $2 s"
		sleep 0.05
	done
}

if [ "${1:-}" = --kvm ]; then
	scripts/setup.sh
	scripts/build.sh
	vas=$PWD/build/cli/vas
else
	# No more than it takes, for who sees this for the first time.
	scripts/setup.sh demo
	VAS_TARGETS=cli/vas scripts/build.sh build-demo -Dtests=false -Dman=false -Dpython=disabled
	vas=$PWD/build-demo/cli/vas
fi
say "built; fetching a stock kernel if the cache lacks it"
scripts/kernel.sh fetch 6.1 >&2

start=$(now)
name=demo-$$ nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
"$vas" run --quiet --keep --name "$name" --memory 512M --machine q35 -- \
	scripts/demo-vm.sh boot --fd @FD@ --machine q35 --mem 512 --nonce "$nonce" >"$temp/console" 2>&1 </dev/null &
run_pid=$!
while ! "$vas" info "$name" >"$temp/info" 2>/dev/null; do
	kill -0 "$run_pid" 2>/dev/null || fail "vas run failed: $(cat "$temp/console")"
	sleep 0.02
done
say "created the vas '$name', and started QEMU on it:"
sed 's/^/             /' "$temp/info"
fd=$(find "/proc/$run_pid/fd" -lname "/memfd:vas:$name*" | head -n 1)

await "demo: .*waiting" 90
say "the guest is up: $(grep -a 'demo: .*waiting' "$temp/console" | tr -d '\r' | head -n 1)"

banner=$("$vas" find "$name" "Linux version 6" --max 1) || fail "no kernel banner in guest memory"
say "another process finds the kernel's banner at gpa $banner:"
"$vas" read "$name" "$banner" 64 | sed 's/^/             /'
say "the same bytes with no library: dd if=$fd skip=$((banner))"
dd if="$fd" bs=1 skip=$((banner)) count=40 2>/dev/null | tr '\n\0' '  ' | sed 's/^/             /'
echo

marker=$("$vas" find "$name" "VAS-DEMO-MARKER:$nonce" --max 1) || fail "no marker in guest memory"
say "it finds the guest program's marker at gpa $marker, and writes an answer behind it"
"$vas" write "$name" $((marker + 256)) --string "hello from process $$, through nothing but an fd
"
await "hello from process $$" 30
say "the guest prints: $(grep -a "hello from process $$" "$temp/console" | tr -d '\r' | head -n 1)"

exec 3<"$fd"
if "$vas" write fd:3 $((marker + 256)) --string "no" 2>"$temp/refused"; then
	fail "an observer could write"
fi
exec 3<&-
say "an observer, with a read-only fd, is refused: $(cat "$temp/refused")"

vmm_pid=$(cut -d ' ' -f 1 "/proc/$run_pid/task/$run_pid/children")
kill -KILL "$vmm_pid"
while kill -0 "$vmm_pid" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$vmm_pid/status" 2>/dev/null; do
	sleep 0.02
done
vmm_pid=''
say "the VMM is killed; its guest's memory is still there:"
"$vas" read "$name" "$marker" 48 | sed 's/^/             /'

kill "$run_pid"
wait "$run_pid" 2>/dev/null || :
run_pid=''
! "$vas" info "$name" >/dev/null 2>&1 || fail "the vas outlives its last holder"
say "the last holder is gone, and so is the vas"

scripts/demo-guests.sh "$vas"
[ "${1:-}" != --kvm ] || scripts/demo-kvm.sh
echo "demo: ok"
