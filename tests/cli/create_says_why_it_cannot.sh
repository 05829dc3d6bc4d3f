#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What libvas or the system refuses: exit code 3, and the region at fault is named.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

expect 3 create --region 0:1M --region 512K:1M
err_has "region at 0x80000 of 1 MiB"
expect 3 create --region 100:4K
err_has "region at 0x64 of 4 KiB"
expect 3 create --memory 1M --limit 512K
err_has "region at 0x0 of 1 MiB"
out_is ""
(
	ulimit -f 1024
	trap '' XFSZ
	expect 3 create --memory 1G
	err_has "cannot create the vas"
	err_has "RLIMIT_FSIZE"
)
