#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# LiME: each range of memory behind a header with its first and last gpa.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --region 64K:64K --region 128K:64K --region 4G:1M
expect 0 write "$mine" 0x1fffe --string needle
expect 0 write "$mine" 0x1000ffffd --string end
expect 0 dump "$mine" --format lime -o "$tmp/lime"
"$VAS" dump "$mine" --format lime | cat >"$tmp/pipe"
cmp "$tmp/lime" "$tmp/pipe"
expect 0 dump "$mine" -o "$tmp/raw"
python3 - "$tmp/lime" "$tmp/raw" <<'END'
import struct, sys

lime, raw = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb")
at, ranges = 0, []
while at < len(lime):
    magic, version, first, last, reserved = struct.unpack_from("<IIQQQ", lime, at)
    assert (magic, version, reserved) == (0x4C694D45, 1, 0), hex(at)
    ranges.append((first, last))
    at += 32
    raw.seek(first)
    assert lime[at:at + last + 1 - first] == raw.read(last + 1 - first), hex(first)
    at += last + 1 - first
assert at == len(lime)
assert ranges == [(0x10000, 0x2FFFF), (1 << 32, (1 << 32) + 0xFFFFF)], ranges
END
