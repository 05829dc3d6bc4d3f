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
# The note says whose kernel it is, and where its image is: by virtual addresses too, to the end of
# what is there.
image()
{
	note 0x800 $((42 + ${#1} - $(printf %s "$1" | grep -o '\\n' | wc -l))) "$text$1"
	dump_it
	readelf -lhW "$tmp/core" >"$tmp/elf"
	is_equal "$(awk '$1 == "LOAD" && $3 != $4 { print $2, $3, $4, $5, $6 }' "$tmp/elf")" "$2"
}
image 'NUMBER(phys_base)=-1048576\nSYMBOL(_stext)=ffffffff80181234' \
	'0x082000 0xffffffff80181000 0x0000000000081000 0x17f000 0x17f000'
grep -q 'Machine: *.*X86-64' "$tmp/elf" || die "$(cat "$tmp/elf")"
image 'NUMBER(kimage_voffset)=0xffffd00000000000\nSYMBOL(_stext)=ffffd00000010000' \
	'0x011000 0xffffd00000010000 0x0000000000010000 0x1f0000 0x1f0000'
grep -q 'Machine: *AArch64' "$tmp/elf" || die "$(cat "$tmp/elf")"
# Nowhere, at the end of all addresses, and no number.
image 'NUMBER(phys_base)=0\nSYMBOL(_stext)=ffffffff90000000' ''
image 'NUMBER(kimage_voffset)=0xfffffffffffff000\nSYMBOL(_stext)=fffffffffffff000' ''
image 'NUMBER(phys_base)=0\nSYMBOL(_stext)=' ''

# Headers alone say the same, without the bytes.
image 'NUMBER(phys_base)=0\nSYMBOL(_stext)=ffffffff80000000' \
	'0x001000 0xffffffff80000000 0x0000000000000000 0x200000 0x200000'
expect 0 dump "$mine" --format elf-headers -o "$tmp/headers"
is_equal "$(stat -c %s "$tmp/headers")" 4096
is_equal "$(readelf -lW "$tmp/headers" | awk '$1 == "LOAD" { print $3, $4, $5, $6 }')" \
	"0x0000000000000000 0x0000000000000000 0x000000 0x200000
0xffffffff80000000 0x0000000000000000 0x000000 0x200000"
is_equal "$(readelf -nW "$tmp/headers")" "$(readelf -nW "$tmp/core")"

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
