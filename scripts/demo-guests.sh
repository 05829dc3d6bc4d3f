#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The last act of the demo: a Linux guest counts in an unmodified QEMU; it is saved while it does, two clones
# count on from the same number, each its own way, and the original goes on. usage: demo-guests.sh VAS
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=vm-machine.sh
. "$scripts/vm-machine.sh"
vas=$1
temp=$(mktemp -d)
run_pid='' clone_pid=''

cleanup()
{
	for pid in $clone_pid $run_pid; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || :
	done
	rm -rf "$temp"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

say()
{
	printf '           %s\n' "$*"
}

number()
{
	sed -n 's/^.*count: \([0-9]*\),.*/\1/p' "$1" 2>/dev/null | "$2" -n 1
}

# await FILE FROM: until the console has a number that is greater
await()
{
	tries=0
	while reached=$(number "$1" tail); [ "${reached:-0}" -le "$2" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 2400 ] || machine_die "the guest does not count on: $(cat "$temp"/*.err)"
		sleep 0.05
	done
}

mkdir -p "$temp/root/dev" "$temp/root/proc"
machine_program "$temp/root/init" "$scripts/../tests/vm/guest/counting_init.c"
machine_initramfs "$temp/root" "$temp/initramfs"
kernel=$("$scripts/kernel.sh" path 6.1 vmlinux)

# qemu CONSOLE COMMAND...: the command with QEMU's words behind it, in the background: cleanup ends it by $!
qemu()
{
	console=$1
	shift
	exec "$@" -- qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 256M -nodefaults -display none \
		-serial "file:$temp/$console" -kernel "$kernel" -initrd "$temp/initramfs" -append "$(machine_cmdline)"
}

name=demo-guest-$$
qemu original "$vas" run --quiet --name "$name" >/dev/null 2>"$temp/run.err" &
run_pid=$!
await "$temp/original" 3
say "a Linux guest counts: it is at $(number "$temp/original" tail). vas snapshot $name FILE"
"$vas" snapshot "$name" "$temp/snapshot" 2>"$temp/snapshot.err" || machine_die "$(cat "$temp/snapshot.err")"
await "$temp/original" "$(number "$temp/original" tail)"
say "saved, it goes on: $(number "$temp/original" tail). vas clone --number 2 FILE"
qemu 'clone-@INDEX@' "$vas" clone --number 2 "$temp/snapshot" >"$temp/clones" 2>"$temp/clone.err" &
clone_pid=$!
for i in 0 1; do
	await "$temp/clone-$i" "$(number "$temp/original" head)"
	await "$temp/clone-$i" "$(($(number "$temp/clone-$i" head) + 2))"
	say "clone $i counts on: $(number "$temp/clone-$i" head) ... $(number "$temp/clone-$i" tail)"
done
await "$temp/original" "$(number "$temp/original" tail)"
say "and the original: $(number "$temp/original" tail)"
