#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

create "$mine" --memory 4M
head -c 3000000 /dev/urandom >"$tmp/random"
expect 0 write "$mine" 4K --file "$tmp/random"
expect 0 compare "$mine" 4K --file "$tmp/random"
out_is ""
err_is ""
expect 0 write "$mine" 0x200000 --hex 41
expect 0 write "$mine" 0x200001 --hex 42
printf '\000' | dd of="$tmp/random" bs=1 seek=$((0x200000 - 4096)) conv=notrunc status=none
expect 1 compare "$mine" 4K --file "$tmp/random"
err_has "$mine: differs at 0x200000: 41 there, 00 given"
