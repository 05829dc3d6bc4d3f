#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# File offset = gpa, whatever the offsets in the vas; nothing is written where nothing is.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

create "$mine" --memory 4G --machine q35
expect 0 write "$mine" 0x7ffffffd --string "low"
expect 0 write "$mine" 0x100000000 --string "high"
expect 0 fill "$mine" 0x5000 0x3000 0
expect 0 dump "$mine" -o "$tmp/dump"
out_is ""
err_is ""
is_equal "$(stat -c %s "$tmp/dump")" $((6 << 30))
is_equal "$(stat -c %a "$tmp/dump")" 600
is_equal "$(dd if="$tmp/dump" bs=1 skip=$((0x7ffffffd)) count=3 status=none)" low
is_equal "$(dd if="$tmp/dump" bs=4 skip=$((0x40000000)) count=1 status=none)" high
[ "$(stat -c %b "$tmp/dump")" -le 128 ] || die "not sparse: $(stat -c %b "$tmp/dump") blocks"

# The same through a pipe, with zeros for holes.
create "$mine-small" --region 4K:4K --region 16K:8K
expect 0 write "$mine-small" 0x1800 --string one
expect 0 write "$mine-small" 0x5000 --string two
"$VAS" dump "$mine-small" | cat >"$tmp/pipe"
expect 0 dump "$mine-small" --output "$tmp/file"
cmp "$tmp/pipe" "$tmp/file"
is_equal "$(stat -c %s "$tmp/pipe")" 24576

expect 3 dump "$mine-small" -o "$tmp/no/such/folder"
err_has "$tmp/no/such/folder.unfinished: No such file or directory"
expect 2 dump "$mine-small" --format core -o "$tmp/file"
err_has "'core' is none of raw, elf, elf-headers and lime"

# What has no holes to keep: zeros are written there, and whoever wants none of it gets away with it.
expect 0 dump "$mine-small" -o /dev/null
"$VAS" dump "$mine-small" >/dev/null || die "to /dev/null: $?"
"$VAS" dump "$mine-small" >>"$tmp/new"
cmp "$tmp/file" "$tmp/new"
# A file that was there becomes the image, or stays as it was; nothing old shows in the holes.
tr '\0' x </dev/zero | head -c 65536 >"$tmp/old"
"$VAS" dump "$mine-small" 1<>"$tmp/old"
cmp "$tmp/file" "$tmp/old"
echo before >"$tmp/old"
code=0
"$VAS" dump "$mine-small" >>"$tmp/old" 2>"$tmp/err" || code=$?
is_equal $code 2
err_has "instead of >>"
is_equal "$(cat "$tmp/old")" before
code=0
{
	echo first
	"$VAS" dump "$mine-small" 2>"$tmp/err" || code=$?
} >"$tmp/old"
is_equal $code 2
is_equal "$(cat "$tmp/old")" first
