#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A read-only region (exit code 3), and a vas of which only a read-only fd was handed on.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

create "$mine" --region 0:8K:ram --region 8K:8K:ro:rom
expect 3 write "$mine" 0x1ffe --hex 01020304
err_has "$mine: stopped at 0x2000 after 2 of 4 bytes: gpa 0x2000 is in a read-only region"
expect 3 fill "$mine" 0x2000 1
err_has "read-only region"

exec 7<"/proc/$pid/fd/${ref#*/}"
expect 0 read fd:7 0x1ffe 4 --hex
out_is 01020000
expect 3 write fd:7 0 --hex 00
err_has "fd:7: stopped at 0x0 after 0 of 1 bytes: an observer cannot write"
