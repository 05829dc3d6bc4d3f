#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Exit code 4; what lies before the hole is done, and the message says where it is.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

create "$mine" --region 0:8K:low --region 16K:8K:high
expect 0 write "$mine" 0x1ff8 --string 12345678
expect 4 read "$mine" 0x1ff8 16 --raw
out_is 12345678
err_has "$mine: stopped at 0x2000 after 8 of 16 bytes: no region holds gpa 0x2000"
expect 4 write "$mine" 0x1ffc --string abcdefgh
err_has "stopped at 0x2000 after 4 of 8 bytes"
expect 0 read "$mine" 0x1ff8 8 --raw
out_is 1234abcd
expect 4 fill "$mine" 0 1M 1
err_has "stopped at 0x2000 after 8192 of 1048576 bytes"
expect 4 compare "$mine" 0x1fff --hex 0100
err_has "stopped at 0x2000 after 1 of 2 bytes"
expect 4 read "$mine" 0x3000 1
err_has "after 0 of 1 bytes"
expect 4 read "$mine" 0xffffffffffffe000 4096
err_has "after 0 of 4096 bytes"
