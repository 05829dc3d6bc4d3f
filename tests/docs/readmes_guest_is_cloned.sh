#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What the README tells to type, from a kernel to the guest's clones, is typed; and all of them count.
# usage: SCRIPT SOURCE-DIR BUILD-DIR
set -eu

source=$1 build=$2
lack=
for tool in qemu-system-x86_64 cpio /bin/busybox; do
	command -v "$tool" >/dev/null || lack="no $tool"
done
"$source/scripts/kernel.sh" path 6.1 vmlinux >/dev/null 2>&1 || lack="no kernel: scripts/kernel.sh fetch 6.1"
[ -z "$lack" ] || {
	echo "skip: $lack"
	exit 77
}
temp=$(mktemp -d)
set -m # each job a group, and known as %1
trap 'kill %2 %1 2>/dev/null || :; wait; rm -rf "$temp"' EXIT
export PATH=$build/cli:$PATH VAS_RUN_DIR=$temp/run
cd "$temp"

# numbers FILE: as the guest has printed them, but for the first, of which a part may be missing
numbers()
{
	sed -n 's/\r$//; s/^[0-9][0-9]*$/&/p' "$1" 2>/dev/null | tail -n +2
}

# until each FILE has numbers. The limit is for what hangs.
await()
{
	for file; do
		until [ -n "$(numbers "$file")" ]; do
			[ "$SECONDS" -lt 1500 ] || {
				echo "FAILED: $file has no numbers: $(cat "$file" said)"
				exit 1
			}
			sleep 0.1
		done
	done
}

snapshot()
{
	numbers original | tail -n 1 >before
	vas snapshot "$@"
}

awk '/^## / { inside = /^## A guest of your own/ } inside && sub(/^    /, "")' "$source/README.md" |
	sed -e '/^sudo apt/d' -e "s,~/vas/,$source/," -e "s/\\(name\\|find\\|snapshot\\) guest/\\1 guest$$/" -e 's/ *# .*//' \
		-e 's/^vas snapshot/snapshot/' -e 's/^tail /await /' -e '/^kill /d' >typed
[ "$(wc -l <typed)" -gt 8 ] || {
	echo "FAILED: the README has no such section"
	exit 1
}
. ./typed >printed 2>said
grep -qE '^0x[0-9a-f]+$' printed || {
	echo "FAILED: no banner was found: $(cat printed said)"
	exit 1
}
for clone in clone-0 clone-1; do
	[ "$(numbers $clone | head -n 1)" -gt "$(cat before)" ] || {
		echo "FAILED: $clone does not go on from $(cat before): $(cat $clone)"
		exit 1
	}
done
