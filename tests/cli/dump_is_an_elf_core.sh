#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A PT_LOAD for each range without a hole, whose bytes are those of the guest, for any reader of ELF.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3 readelf

# Two regions that touch, a hole, one more.
create "$mine" --region 64K:64K --region 128K:64K --region 4G:1M
expect 0 write "$mine" 0x1fffe --string needle
expect 0 write "$mine" 0x1000ffffd --string end
expect 0 dump "$mine" --format elf -o "$tmp/core"
out_is ""
err_is ""
is_equal "$(stat -c %a "$tmp/core")" 600
[ "$(stat -c %b "$tmp/core")" -le 128 ] || die "not sparse: $(stat -c %b "$tmp/core") blocks"

readelf -lhW "$tmp/core" >"$tmp/elf" 2>"$tmp/elf.err"
[ ! -s "$tmp/elf.err" ] || die "readelf: $(cat "$tmp/elf.err")"
grep -q 'Type: *CORE' "$tmp/elf" || die "no core file"
is_equal "$(awk '$1 == "LOAD" { print $3, $4, $5, $6 }' "$tmp/elf")" \
	"0x0000000000010000 0x0000000000010000 0x020000 0x020000
0x0000000100000000 0x0000000100000000 0x100000 0x100000"
if grep -q NOTE "$tmp/elf"; then die "a note of nothing"; fi

# The same bytes as in a raw dump, through a pipe too.
cat >"$tmp/parse.py" <<'END'
import struct, sys

core, raw = (open(path, "rb").read() if path == sys.argv[1] else open(path, "rb")
             for path in sys.argv[1:3])
phoff, phnum = struct.unpack_from("<Q", core, 32)[0], struct.unpack_from("<H", core, 56)[0]
loads = 0
for i in range(phnum):
    kind, flags, offset, vaddr, paddr, filesz, memsz, align = \
        struct.unpack_from("<IIQQQQQQ", core, phoff + 56 * i)
    if kind != 1:
        continue
    loads += 1
    assert vaddr == paddr and filesz == memsz and offset % align == vaddr % align, i
    raw.seek(paddr)
    assert core[offset:offset + filesz] == raw.read(filesz), hex(paddr)
    assert offset + filesz <= len(core), hex(paddr)
assert loads == int(sys.argv[3]), loads
END
expect 0 dump "$mine" --format raw -o "$tmp/raw"
python3 "$tmp/parse.py" "$tmp/core" "$tmp/raw" 2
"$VAS" dump "$mine" --format elf | cat >"$tmp/pipe"
cmp "$tmp/core" "$tmp/pipe"
"$VAS" dump "$mine" --format elf >>"$tmp/new"
cmp "$tmp/core" "$tmp/new"
expect 0 dump "$mine" --format elf -o /dev/null

if command -v gdb >/dev/null; then
	gdb -nx -batch -ex "core-file $tmp/core" -ex 'x/s 0x1fffe' -ex 'x/s 0x1000ffffd' \
		>"$tmp/gdb" 2>&1 || die "gdb: $(cat "$tmp/gdb")"
	grep -q '0x1fffe:.*"needle"' "$tmp/gdb" || die "gdb: $(cat "$tmp/gdb")"
fi
