#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""An ELF dump of a stock Linux has its VMCOREINFO note, and what the note says is so in the dump.

usage: dump_tells_of_linux.py VAS

The note has the virtual address of the kernel's uts namespace, and where the kernel is in memory.
"""

import re
import struct
import subprocess
import sys
import tempfile

from held_guest import held_guest

START_KERNEL_MAP = 0xFFFFFFFF80000000


def segments(core):
    """(type, offset, physical address, size) of each program header."""
    phoff, = struct.unpack_from("<Q", core, 32)
    phnum, = struct.unpack_from("<H", core, 56)
    for i in range(phnum):
        kind, _, offset, _, paddr, size = struct.unpack_from("<IIQQQQ", core, phoff + 56 * i)
        yield kind, offset, paddr, size


def check(core):
    notes = [core[offset:offset + size] for kind, offset, _, size in segments(core) if kind == 4]
    if len(notes) != 1:
        sys.exit(f"not ok - {len(notes)} notes")
    _, text_len, _ = struct.unpack_from("<III", notes[0])
    text = notes[0][24:24 + text_len].decode()
    print(f"# {text_len} bytes: {text.splitlines()[0]}")
    release = re.search(r"^OSRELEASE=(.*)", text)[1]
    uts = int(re.search(r"^SYMBOL\(init_uts_ns\)=(\w+)", text, re.M)[1], 16)
    phys_base = int(re.search(r"^NUMBER\(phys_base\)=(-?\d+)", text, re.M)[1])
    gpa = uts - START_KERNEL_MAP + phys_base
    for kind, offset, paddr, size in segments(core):
        if kind == 1 and paddr <= gpa < paddr + size:
            names = core[offset + gpa - paddr:][:390]
            if b"Linux\0" not in names or release.encode() + b"\0" not in names:
                sys.exit(f"not ok - at gpa {gpa:#x} is no uts namespace")
            return
    sys.exit(f"not ok - gpa {gpa:#x} is not in the dump")


def main():
    vas = sys.argv[1]
    with held_guest(vas) as name, tempfile.NamedTemporaryFile() as file:
        subprocess.run([vas, "dump", name, "--format", "elf", "-o", file.name], check=True)
        with open(file.name, "rb") as core:
            check(core.read())
    print("ok")


if __name__ == "__main__":
    main()
