#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# An unmodified QEMU's guest uses a device that 'vas device' serves, and finds nothing wrong with it: of
# the kinds that have no test of their own. KIND is rng or vsock.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
# shellcheck source-path=SCRIPTDIR source=device.sh
. "$(dirname "$0")/device.sh"
device_kind "$@"

make_guest
device_where 1
# shellcheck disable=SC2086,SC2154 # words
serve $where
wait_until test -S "$sock"
boot "$tmp/serial"
goes_on "$tmp/serial" 200
kill "$guest"
wait "$guest" 2>/dev/null || :
end "$device"
is_equal "$code" 0 "$(cat "$tmp/device.err")"
has_no_errors "$1"
