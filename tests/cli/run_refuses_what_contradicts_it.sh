#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# QEMU arguments that put RAM elsewhere, or say another size: refused before anything starts, and the
# message says what to drop.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

refuses()
{
	text=$1
	shift
	expect 2 run "$@"
	err_has "$text"
	out_is ""
}
q=qemu-system-x86_64
refuses "-m 2G contradicts the 1 GiB of --memory: drop one of them" --memory 1G -- $q -m 2G
refuses "-m 4G,slots=2,maxmem=lots: slots= or maxmem= is not understood" -- $q -m 4G,slots=2,maxmem=lots
refuses "-m 4G,slots=257,maxmem=8G: slots= or maxmem= is not understood" -- $q -m 4G,slots=257,maxmem=8G
refuses "where QEMU has so much RAM depends on the CPU" -- $q -M q35 -m 4G,slots=2,maxmem=1T
refuses "-mem-path /x: the RAM is the vas: drop -mem-path" -- $q -mem-path /x
refuses "-mem-prealloc: give --reserve to 'vas run' instead" -- $q -mem-prealloc
refuses "-machine q35,memory-backend=ram0: there is no -object memory-backend-... of that id" \
	-- $q -M q35,memory-backend=ram0 -object secret,id=ram0,data=x
refuses "drop max-ram-below-4g=" -- $q -machine q35,max-ram-below-4g=1G
refuses "memdev=ram0: there is no -object memory-backend-... of that id" -- $q -numa node,memdev=ram0
refuses "say by memdev= which memory a node has" -- $q -numa node,mem=64M
refuses "-machine isapc: where it has its RAM is not known here" -- $q -machine isapc
refuses "-machine pc-i440fx-1.7: where" -- $q -M pc-i440fx-1.7
refuses "where qemu-system-arm has its RAM is not known here" -- qemu-system-arm
refuses "-m lots: the size is not understood" -- $q -m lots
refuses "1 TiB: where QEMU has so much RAM depends on the CPU" --memory 1T -- $q -M q35
