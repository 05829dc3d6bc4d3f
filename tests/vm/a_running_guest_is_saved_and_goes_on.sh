#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A Linux guest in an unmodified QEMU is paused, saved while it counts, saved again on that, and goes on;
# from either file it goes on as well, from the very next number, with its memory as it was.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"

need python3
make_guest
more="-qmp unix:$tmp/qmp,server=on,wait=off"
boot "$mine" "$tmp/serial"
guest=$pid

# Paused it stands, and resumed it goes on.
expect 0 pause "$mine"
at=$(last "$tmp/serial")
expect 0 pause "$mine"
expect 0 snapshot "$mine" "$tmp/paused"
is_equal "$(last "$tmp/serial")" "$at"
expect 0 resume "$mine"
counts_on "$tmp/serial" "$at"

# It stands while it is read, however slowly, and goes on after that, or when the reader is killed.
is_as()
{
	[ "$(python3 "$(dirname "$0")/ask_qemu.py" "$tmp/qmp" status)" = "$1" ]
}
mkfifo "$tmp/fifo"
for end in drained killed; do
	at=$(last "$tmp/serial")
	"$VAS" read "$mine" 0 64M --raw --frozen >"$tmp/fifo" 2>"$tmp/read.err" &
	reader=$!
	started="$started $reader"
	exec 3<"$tmp/fifo"
	head -c 1 <&3 >/dev/null
	is_as paused || die "it runs while it is read"
	if [ $end = killed ]; then
		kill -KILL "$reader"
		wait "$reader" || true
	else
		cat <&3 >/dev/null
		wait "$reader" || die "$(cat "$tmp/read.err")"
	fi
	exec 3<&-
	wait_until is_as running
	counts_on "$tmp/serial" "$at"
done

# What ran goes on after a snapshot, what was paused did not.
at=$(last "$tmp/serial")
expect 0 snapshot "$mine" "$tmp/full"
counts_on "$tmp/serial" "$at"
expect 0 snapshot --parent "$tmp/full" "$mine" "$tmp/child" --json
json "j['allocated'] < 80 << 20" | grep -qx True || die "the child is no smaller than $(cat "$tmp/out")"
counts_on "$tmp/serial" "$(last "$tmp/serial")"
is_gapless "$tmp/serial" 1
end "$guest"
is_equal "$code" 0 "QEMU ends by SIGTERM with 0"

# restored FILE FROM: goes on with the number that follows
restored()
{
	rm -f "$tmp/serial"
	: >"$tmp/ref"
	# shellcheck disable=SC2086 # no option is no word
	"$VAS" restore ${3:-} "$1" >"$tmp/ref" 2>"$tmp/restore.err" &
	pid=$!
	started="$started $pid"
	wait_until is_created
	[ -s "$tmp/ref" ] || die "vas restore: $(cat "$tmp/restore.err")"
	ref=$(cat "$tmp/ref")
}
cp "$tmp/serial" "$tmp/all"
restored "$tmp/child"
counts_on "$tmp/serial" "$(last "$tmp/all")"
is_gapless "$tmp/serial" 0
# The name of a guest that was restored is its own again, and so are the verbs.
expect 0 snapshot "$mine" "$tmp/third"
counts_on "$tmp/serial" "$(last "$tmp/serial")"
end "$pid"

# The one that was paused when it was saved stands, until it is told otherwise.
restored "$tmp/paused"
expect 0 pause "$ref"
[ ! -s "$tmp/serial" ] || die "it counts: $(cat "$tmp/serial")"
expect 0 resume "$ref"
counts_on "$tmp/serial" 0
is_gapless "$tmp/serial" 0
end "$pid"

expect 0 restore --show "$tmp/child"
out_has "file:$tmp/serial"
expect 3 restore --lazy "$tmp/child"
err_has "QEMU cannot run on memory that comes when it is touched"
wait_until run_folder_is_empty
