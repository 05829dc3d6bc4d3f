#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The demo's second act: a KVM guest and a device process ("foo") that has only what came over a socket.
# The guest writes a request into its memory and rings; foo answers in the same memory and raises the
# interrupt; the guest checks every answer.
set -eu

cd "$(dirname "$0")/.."
if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	echo "           skip: the second act needs /dev/kvm, which cannot be opened here"
	exit 0
fi
temp=$(mktemp -d)
trap 'kill "$vmm" 2>/dev/null || :; rm -rf "$temp"' EXIT
start=$(date +%s%N)

build/examples/tinyvmm --socket "$temp/socket" build/tests/guests/echo.bin >"$temp/vmm" 2>&1 &
vmm=$!
while ! grep -q listening "$temp/vmm"; do
	kill -0 $vmm 2>/dev/null || {
		cat "$temp/vmm" >&2
		exit 1
	}
	sleep 0.02
done
echo "           a KVM guest runs in tinyvmm, which passes its vas to whoever connects; here is foo:"
build/cli/vas info "$vmm/$(build/cli/vas ls --json | sed -n "s/.*\"pid\": *$vmm, *\"fd\": *\([0-9]*\).*/\1/p" | head -n 1)" 2>/dev/null |
	sed 's/^/             /' || :
build/examples/foo --socket "$temp/socket" 2>&1 | sed 's/^/             /'
status=0
wait $vmm || status=$?
sed 's/^/             guest: /' "$temp/vmm" | grep -v listening
[ $status = 0 ] || {
	echo "demo: the guest ended with status $status" >&2
	exit 1
}
echo "           done in $((($(date +%s%N) - start) / 1000000)) ms: memory, doorbell and interrupt, and foo never opened /dev/kvm"
