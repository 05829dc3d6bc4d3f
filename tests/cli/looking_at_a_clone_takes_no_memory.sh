#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Of a clone, only what its snapshot has comes when somebody looks; the rest is known to be zero.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --memory 1G
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
kill -KILL "$pid"
wait "$pid" || true
expect 0 write fd:9 0x1000000 --string needle
expect 0 write fd:9 0x3fffff00 --string last
expect 0 snapshot fd:9 "$tmp/base"
expect 0 dump fd:9 -o "$tmp/want"

# clone: of the snapshot, anew: $pid and $ref
clone()
{
	: >"$tmp/ref"
	"$VAS" clone "$tmp/base" >"$tmp/ref" 2>"$tmp/clone.err" &
	pid=$!
	started="$started $pid"
	wait_until is_created
	ref=$(cat "$tmp/ref")
	[ -n "$ref" ] || die "vas clone: $(cat "$tmp/clone.err")"
	is_equal "$(resident "$ref")" 0 "at first"
}

head -c 16777216 /dev/zero >"$tmp/zeros"
clone
expect 0 read "$ref" 0x10000000 256M --raw -o "$tmp/got"
cmp -n 268435456 "$tmp/got" /dev/zero
expect 0 compare "$ref" 0x10000000 --file "$tmp/zeros"
is_equal "$(resident "$ref")" 0 "after a look at nothing"
expect 1 compare "$ref" 0x1000000 --file "$tmp/zeros"
err_has "differs at 0x1000000: 6e there, 00 given"
is_equal "$(resident "$ref")" 4096 "after a look at one page"
end "$pid"

clone
expect 0 dump "$ref" -o "$tmp/got"
cmp "$tmp/want" "$tmp/got"
[ "$(stat -c %b "$tmp/got")" -le 128 ] || die "not sparse: $(stat -c %b "$tmp/got") blocks"
is_equal "$(resident "$ref")" 8192 "after dump"
end "$pid"

clone
expect 0 find "$ref" needle
out_is 0x1000000
[ "$(resident "$ref")" -le 8192 ] || die "after find: $(resident "$ref")"
expect 0 map "$ref"
