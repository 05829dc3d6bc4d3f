#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A command that works on a vas borrows it from its holder, who has it again afterwards, also if the command
# or the holder is killed meanwhile. Nothing stays in the run folder.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

owner()
{
	"$VAS" info "$mine" --json >"$tmp/out"
	ran="vas info"
	json "j['owner_pid']"
}

is_owned_by()
{
	[ "$(owner)" = "$1" ]
}

# A snapshot that waits, with the vas in its hands, until $tmp/go is there.
slow_snapshot()
{
	rm -f "$tmp/waits" "$tmp/go" "$tmp/snapshot"
	"$VAS" snapshot --disks "touch $tmp/waits; until [ -e $tmp/go ]; do sleep 0.02; done" "$mine" "$tmp/snapshot" \
		>"$tmp/slow.out" 2>"$tmp/slow.err" &
	borrower=$!
	started="$started $borrower"
	wait_until test -e "$tmp/waits"
}

create "$mine" --memory 16M
holder=$pid
"$VAS" write "$mine" 0x1000 --string before
for _ in 1 2 3; do
	expect 0 snapshot "$mine" "$tmp/snapshot"
	is_equal "$(owner)" "$holder"
done
find "$VAS_RUN_DIR" -name owner -perm 0600 | grep -q . || die "the socket is not there, or not 0600"

# Frozen and lent, it can be read; then it is its holder's again.
slow_snapshot
is_equal "$(owner)" "$borrower"
expect 0 read "$mine" 0x1000 6 --raw
out_is before
touch "$tmp/go"
wait "$borrower"
is_equal "$(owner)" "$holder"
[ -s "$tmp/snapshot" ]

# The borrower is killed: no file, nothing is frozen, and the next one is served.
slow_snapshot
kill -KILL "$borrower"
wait "$borrower" || true
touch "$tmp/go"
wait_until is_owned_by "$holder"
[ ! -e "$tmp/snapshot" ] || die "a snapshot that was killed left a file"
expect 0 write "$mine" 0x1000 --string after
expect 0 snapshot "$mine" "$tmp/snapshot"

# A holder that is told to end leaves the vas to the borrower.
slow_snapshot
end "$holder"
is_equal "$code" 0
touch "$tmp/go"
wait "$borrower"
: >"$tmp/ref" # what the last one said is no sign of this one
"$VAS" restore "$tmp/snapshot" >"$tmp/ref" &
pid=$!
started="$started $pid"
wait_until is_created
expect 0 read "$(cat "$tmp/ref")" 0x1000 5 --raw
out_is after
end "$pid"

# One that is killed leaves its folder to whoever comes next.
create "$mine" --memory 16M
"$VAS" fill "$mine" 0 8M 7
slow_snapshot
kill -KILL "$pid"
wait "$pid" || true
touch "$tmp/go"
wait "$borrower" || die "$(cat "$tmp/slow.err")"
is_equal "$(find "$VAS_RUN_DIR" -mindepth 1 -maxdepth 1 | wc -l)" 1
create "$mine" --memory 16M
is_equal "$(find "$VAS_RUN_DIR" -mindepth 1 -maxdepth 1 | wc -l)" 1
end "$pid"
is_equal "$(ls -A "$VAS_RUN_DIR")" ""

# Pages that come when they are touched are their holder's alone to fill.
: >"$tmp/ref"
"$VAS" clone "$tmp/snapshot" >"$tmp/ref" &
pid=$!
started="$started $pid"
wait_until is_created
expect 3 snapshot "$(cat "$tmp/ref")" "$tmp/of-a-clone"
err_has "only its holder, process $pid, can fill them"
end "$pid"

# A run folder that others could use is none.
mkdir "$tmp/open"
chmod 777 "$tmp/open"
VAS_RUN_DIR=$tmp/open
create "$mine" --memory 16M
grep -q "others may use it" "$tmp/create.err" || die "$(cat "$tmp/create.err")"
expect 3 snapshot "$mine" "$tmp/snapshot"
err_has "belongs to process $pid, which does not lend it"
