#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A guest that was started as a template becomes two clones of itself, which count on from its last number,
# each its own way, on memory that nobody can write. What goes wrong before that leaves it as it was.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
need sha256sum

expect 2 run --template -- true
err_has "--template is for QEMU"

make_guest
run_opts=--template
boot "$mine" "$tmp/serial"
guest=$pid

# It is a vas as any: others see its memory, and it is saved and restored.
expect 0 find "$mine" --string "vas_seed=" --max 1
expect 0 snapshot "$mine" "$tmp/file"
counts_on "$tmp/serial" "$(last "$tmp/serial")"

# A QEMU that takes no such state, or does not start: the guest goes on.
qemu "$tmp/never"
# shellcheck disable=SC2086 # words
expect 3 clone --private "$mine" -- $command -append "$append" -smp 1
err_has "does not take the guest's state"
counts_on "$tmp/serial" "$(last "$tmp/serial")"
# shellcheck disable=SC2086 # words
expect 3 clone --private "$mine" -- $command -append "$append" -device nothing
counts_on "$tmp/serial" "$(last "$tmp/serial")"
[ ! -s "$tmp/never" ] || die "a clone ran: $(cat "$tmp/never")"

qemu "$tmp/clone-@INDEX@"
: >"$tmp/ref"
# shellcheck disable=SC2086 # words
"$VAS" clone --private --number 2 "$mine" -- $command -append "$append" >"$tmp/ref" 2>"$tmp/clones.err" &
clones=$! pid=$!
started="$started $pid"
wait_until is_created
[ -s "$tmp/ref" ] || die "vas clone: $(cat "$tmp/clones.err")"
code=0
wait "$guest" || code=$?
is_equal "$code" 0 "the QEMU that became clones"
for clone in 0 1; do
	counts_on "$tmp/clone-$clone" "$(last "$tmp/serial")"
	cat "$tmp/serial" "$tmp/clone-$clone" >"$tmp/all"
	is_gapless "$tmp/all" 1
done

# shellcheck disable=SC2046 # two pids
set -- $(cat "/proc/$clones/task/$clones/children")
template=/proc/$1/fd/$(tr '\0' '\n' <"/proc/$1/cmdline" |
	sed -n 's,.*mem-path=/proc/self/fd/\([0-9]*\)\,share=off.*,\1,p')
! dd if=/dev/zero of="$template" conv=notrunc bs=4096 count=1 2>/dev/null || die "the template can be written"
sum=$(sha256sum <"$template")
counts_on "$tmp/clone-0" "$(last "$tmp/clone-0")"
is_equal "$(sha256sum <"$template")" "$sum" "the template"

# Without who holds them they go on, and are still to be found.
kill -KILL "$clones"
wait "$clones" || true
started="$started $1 $2"
kill -KILL "$2"
has_one()
{
	"$VAS" pause "$mine"
}
wait_until has_one
at=$(last "$tmp/clone-0")
expect 0 resume "$mine"
counts_on "$tmp/clone-0" "$at"
kill -KILL "$1"
nothing_is_left()
{
	"$VAS" create --memory 1M -- true && run_folder_is_empty
}
wait_until nothing_is_left
