#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# More memory than half of the host's is taken only from those for whom it was asked for.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

half=$(($(getconf PAGE_SIZE) * ($(getconf _PHYS_PAGES) / 2)))
create "$mine" --memory $(((half >> 21 << 21) + (4 << 20)))
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
kill -KILL "$pid"
wait "$pid" || true

expect 0 send fd:9 "$tmp/stream"
expect 3 receive "$tmp/stream"
err_has "more than the $half bytes of memory that are allowed: --max=SIZE allows more"

: >"$tmp/ref"
"$VAS" receive --max 0 "$tmp/stream" >"$tmp/ref" 2>"$tmp/receive.err" &
pid=$!
started="$started $pid"
wait_until is_created
[ -s "$tmp/ref" ] || die "$(cat "$tmp/receive.err")"
