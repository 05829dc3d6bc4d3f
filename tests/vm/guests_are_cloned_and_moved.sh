#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A Linux guest that counts is cloned while it runs: all three count on, each its own way. Then it moves
# to another QEMU: not a number is lost or said twice, and the QEMU that it left ends.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"

# hold COMMAND...: in the background; $pid
hold()
{
	: >"$tmp/ref"
	"$VAS" "$@" >"$tmp/ref" 2>"$tmp/hold.err" &
	pid=$!
	started="$started $pid"
}

make_guest
boot "$mine" "$tmp/serial"
guest=$pid
at=$(last "$tmp/serial")

qemu "$tmp/clone-@INDEX@"
# shellcheck disable=SC2086 # words
hold clone --number 2 "$mine" -- $command -append "$append"
wait_until is_created
[ -s "$tmp/ref" ] || die "vas clone: $(cat "$tmp/hold.err")"
clones=$pid
for clone in 0 1; do
	counts_on "$tmp/clone-$clone" "$at"
	is_gapless "$tmp/clone-$clone" 0
done
counts_on "$tmp/serial" "$(last "$tmp/serial")"

# One clone is a guest as any: it is paused, its sibling is not.
first=$(head -n 1 "$tmp/ref") second=$(sed -n 2p "$tmp/ref")
expect 0 pause "$first"
was=$(last "$tmp/clone-0")
counts_on "$tmp/clone-1" "$(last "$tmp/clone-1")"
is_equal "$(last "$tmp/clone-0")" "$was"
expect 0 snapshot "$second" "$tmp/of-a-clone"
end "$clones"

# A receiver that was given no QEMU runs nothing, and the guest goes on where it is.
hold receive --wait 600 "unix:$tmp/sock"
wait_until test -S "$tmp/sock"
# There are two of that name no more.
expect 3 send "$mine" "unix:$tmp/sock"
code=0
wait "$pid" || code=$?
is_equal "$code" 3
grep -q "what is to run it stands behind --" "$tmp/hold.err" || die "$(cat "$tmp/hold.err")"
counts_on "$tmp/serial" "$(last "$tmp/serial")"

qemu "$tmp/moved"
# shellcheck disable=SC2086 # words
hold receive --wait 600 "unix:$tmp/sock" -- $command -append "$append"
wait_until test -S "$tmp/sock"
expect 0 send --max-downtime=300000 "$mine" "unix:$tmp/sock"
code=0
wait "$guest" || code=$?
is_equal "$code" 0 "the QEMU that the guest has left"
counts_on "$tmp/moved" "$(last "$tmp/serial")"
cat "$tmp/serial" "$tmp/moved" >"$tmp/all"
is_gapless "$tmp/all" 1

# To a file it is copied, and goes on.
at=$(last "$tmp/moved")
expect 0 send --max-downtime=300000 "$mine" "$tmp/stream"
counts_on "$tmp/moved" "$at"

# One that stands arrives so, and goes on when it is told to.
expect 0 pause "$mine"
at=$(last "$tmp/moved")
left=$pid
qemu "$tmp/later"
# shellcheck disable=SC2086 # words
hold receive --wait 600 "unix:$tmp/sock" -- $command -append "$append"
wait_until test -S "$tmp/sock"
expect 0 send --max-downtime=300000 "$mine" "unix:$tmp/sock"
code=0
wait "$left" || code=$?
is_equal "$code" 0 "who held the guest"
expect 0 resume "$mine"
counts_on "$tmp/later" "$at"
end "$pid"
wait_until run_folder_is_empty
