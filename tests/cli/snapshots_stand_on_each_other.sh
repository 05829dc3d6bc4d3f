#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# An incremental snapshot has only what differs, needs its parents, and finds them where the folder is moved to.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# restores FILE ONE TWO [OPTION]: what is made of a snapshot holds these words, at 1 MiB and at 5 MiB
restores()
{
	: >"$tmp/ref"
	# shellcheck disable=SC2086 # no option is no word
	"$VAS" restore ${4:-} "$1" >"$tmp/ref" 2>"$tmp/hold.err" &
	pid=$!
	started="$started $pid"
	wait_until is_created
	ref=$(cat "$tmp/ref")
	[ -n "$ref" ] || die "vas restore $1: $(cat "$tmp/hold.err")"
	expect 0 read "$ref" 1M 5 --raw
	out_is "$2"
	expect 0 read "$ref" 5M 5 --raw
	out_is "$3"
	end "$pid"
}

create "$mine" --memory 64M
# This shell keeps the memory when its owner is killed.
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
kill -KILL "$pid"
wait "$pid" || true

mkdir "$tmp/a"
"$VAS" fill fd:9 16M 16M 7
printf 'one  ' | "$VAS" write fd:9 1M
expect 0 snapshot fd:9 "$tmp/a/full"
err_has "16"
printf 'two  ' | "$VAS" write fd:9 5M
expect 0 snapshot --parent "$tmp/a/full" fd:9 "$tmp/a/child" --json
json "j['allocated'] < 100000 and j['parent'] == 'full'" | grep -qx True
printf 'three' | "$VAS" write fd:9 1M
cd "$tmp/a"
expect 0 snapshot -p child fd:9 "$tmp/grandchild" --json
is_equal "$(json "j['parent']")" "$tmp/a/child"

restores child "one  " "two  "
restores "$tmp/grandchild" three "two  " --any-folder
# It is the file that names a parent there: only somebody who asked for it reads it.
for verb in restore "restore --lazy" clone; do
	# shellcheck disable=SC2086 # words
	expect 3 $verb "$tmp/grandchild"
	err_has "grandchild wants a parent from another folder, $tmp/a/child: give --any-folder"
done
cd "$tmp"
expect 3 snapshot --parent grandchild fd:9 great-grandchild
err_has "give --any-folder"
expect 0 snapshot --any-folder --parent grandchild fd:9 great-grandchild
restores great-grandchild three "two  " -a
rm great-grandchild
cd "$tmp/a"
# Those of one folder are found in another place; the one elsewhere is not.
cd "$tmp"
mv a b
restores "$tmp/b/child" "one  " "two  "
expect 3 restore --any-folder grandchild
err_has "a/child: No such file"

# What cannot be a parent, and what cannot be a child of it.
expect 3 snapshot --parent b/none fd:9 b/new
err_has "none: No such file"
expect 3 snapshot --parent nowhere/none fd:9 b/new
err_has "folder of nowhere/none"
expect 3 snapshot --parent b/child fd:9 b/full
err_has "another name"
expect 2 snapshot fd:9 b/new --parent
err_has "needs a value"
printf 'text' >"$tmp/b/text"
expect 3 snapshot --parent b/text fd:9 b/new
err_has "too short to be a snapshot"
expect 0 snapshot fd:9 b/full
expect 3 snapshot --parent b/child fd:9 b/new
err_has "full is not the snapshot that its child was made on"
expect 3 restore b/child
err_has "full is not the snapshot that its child was made on"
is_equal "$(ls "$tmp/b")" "child
full
text"
