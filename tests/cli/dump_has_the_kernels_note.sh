#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The first proper VMCOREINFO note of guest memory is in an ELF dump; what only looks like one is not.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3 readelf

create "$mine" --memory 2M
# note GPA LENGTH TEXT: a note at GPA that says so of its length
note()
{
	python3 - "$2" "$3" >"$tmp/note" <<'END'
import struct, sys

sys.stdout.buffer.write(struct.pack("<III", 11, int(sys.argv[1], 0), 0) + b"VMCOREINFO\0\0")
sys.stdout.buffer.write(sys.argv[2].encode("latin-1").decode("unicode_escape").encode("latin-1"))
END
	expect 0 write "$mine" "$1" --file "$tmp/note"
}
dump_it()
{
	expect 0 dump "$mine" --format elf -o "$tmp/core"
	readelf -nW "$tmp/core" >"$tmp/notes" 2>&1
}

text='OSRELEASE=6.1.0\nBUILD-ID=00\nPAGESIZE=4096\n' # 42 bytes
# Too long, too short, beyond the end of memory, not text, not all lines, a wrong name.
note 0x1000 0xffffffff "$text"
note 0x2000 4 "$text"
note 0x1fff80 4096 "$text"
note 0x3000 45 "$text"'\xff\x00\x1b'
note 0x4000 16 "$text"
expect 0 write "$mine" 0x5000 --string "VMCOREINFO"
dump_it
if readelf -lW "$tmp/core" | grep -q NOTE; then die "that is no note: $(cat "$tmp/notes")"; fi

# At an odd place, over the border of two pages, the first of two.
note 0x100fe2 42 "$text"'SYMBOL(after)=0\n'
note 0x120000 42 'OSRELEASE=6.2.0\nBUILD-ID=11\nPAGESIZE=4096\n'
dump_it
grep -q 'VMCOREINFO.*0x0000002a' "$tmp/notes" || die "no note: $(cat "$tmp/notes")"
grep -aq 'OSRELEASE=6.1.0' "$tmp/core"
python3 - "$tmp/core" <<'END'
import struct, sys

core = open(sys.argv[1], "rb").read()
assert struct.unpack_from("<H", core, 56)[0] == 2
kind, _, offset, _, _, size, _, _ = struct.unpack_from("<IIQQQQQQ", core, 64)
assert kind == 4
text = b"OSRELEASE=6.1.0\nBUILD-ID=00\nPAGESIZE=4096\n"
assert core[offset:offset + size] == struct.pack("<III", 11, 42, 0) + b"VMCOREINFO\0\0" + text + b"\0\0"
END
# The note says whose kernel it is.
note 0x800 67 "$text"'NUMBER(kimage_voffset)=0x0'
dump_it
readelf -hW "$tmp/core" | grep -q 'Machine: *AArch64' || die "$(readelf -hW "$tmp/core")"

# As many false ones as a guest likes: that ends as well, with the memory and without a note.
expect 0 fill "$mine" 0 2M 0
python3 - >"$tmp/false" <<'END'
import struct, sys

sys.stdout.buffer.write((struct.pack("<III", 11, 99, 0) + b"VMCOREINFO\0\0OSRELEASE=x\n").ljust(64, b"\0") * 32768)
END
expect 0 write "$mine" 0 --file "$tmp/false"
dump_it
if readelf -lW "$tmp/core" | grep -q NOTE; then die "that is no note: $(cat "$tmp/notes")"; fi
is_equal "$(tail -c 2M "$tmp/core" | grep -ac OSRELEASE=x)" 32768
