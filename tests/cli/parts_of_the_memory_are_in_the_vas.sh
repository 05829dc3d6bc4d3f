#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# RAM that NUMA nodes have in parts, and memory that a device has, are where the vas says, below and above 4 GiB, and
# are saved and restored. Parts that are not all of the RAM are refused.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=qemu.sh
. "$(dirname "$0")/qemu.sh"
need python3

# sees GPA: bytes written through the vas are seen by the guest
sees()
{
	expect 0 write "$mine" "$1" --hex "56 41 53 $2"
	monitor "xp /4xb $1" "0x56 0x41 0x53 0x$2"
}

# nodes SIZE SIZE: words, into $words
nodes()
{
	words="-object memory-backend-ram,id=a,size=$1 -object memory-backend-ram,id=b,size=$2
		-smp 2 -numa node,nodeid=1,cpus=1,memdev=b -numa node,nodeid=0,cpus=0,memdev=a"
}

nodes 64M 192M
# shellcheck disable=SC2086 # words
start_qemu -M q35 -m 256M $words
sees 0x3fffffc 01
sees 0x4000000 02
end "$pid"
is_equal "$code" 0

# The second is cut by the hole below 4 GiB.
nodes 1G 2G
# shellcheck disable=SC2086 # words
start_qemu -M q35 -m 3G,slots=1,maxmem=4G $words -object memory-backend-ram,id=c,size=128M \
	-device pc-dimm,id=more,memdev=c
sees 0x3ffffffc 03
sees 0x40000000 04
sees 0x7ffffffc 05
sees 0x100000000 06
sees 0x13ffffffc 07
sees 0x140000000 08
expect 0 info "$mine" --json
is_equal "$(json "[(r['name'], hex(r['gpa']), r['backing']) for r in j['regions']]")" \
	"[('ram-node0', '0x0', 0), ('ram-node1', '0x40000000', 1), ('ram-node1-above-4g', '0x100000000', 1), ('c', '0x140000000', 2)]"
monitor cont "(qemu)"
expect 0 snapshot "$mine" "$tmp/snapshot"
end "$pid"
: >"$tmp/ref"
"$VAS" restore --paused "$tmp/snapshot" <"$tmp/monitor" >"$tmp/ref" 2>"$tmp/err" &
pid=$!
started="$started $pid"
wait_until grep -q / "$tmp/ref"
ref=$(grep -o '[0-9]*/[0-9]*' "$tmp/ref")
for each in 0x3ffffffc:03 0x40000000:04 0x100000000:06 0x140000000:08; do
	expect 0 read "$ref" "${each%:*}" 4 --raw
	is_equal "$(od -An -tx1 "$tmp/out")" " 56 41 53 ${each#*:}"
done
end "$pid"

nodes 64M 64M
# shellcheck disable=SC2086 # words
expect 2 run -- qemu-system-x86_64 -M q35 -m 256M $words
err_has "the NUMA nodes have less memory than the 256 MiB of -m"
# shellcheck disable=SC2086 # words
expect 2 run -- qemu-system-x86_64 -M q35 -m 100M $words
err_has "the NUMA nodes have more memory than the 100 MiB of -m"
expect 2 run -- qemu-system-x86_64 -m 64M -object memory-backend-ram,id=dimm1,size=64M -device pc-dimm,memdev=dimm1
err_has "what begins with dimm is called so by 'vas plug'"
