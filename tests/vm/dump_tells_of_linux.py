#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""An ELF dump of a stock Linux has its VMCOREINFO note, and what the note says is so in the dump.

usage: dump_tells_of_linux.py VAS

The note has the virtual address of the kernel's uts namespace, and where the kernel is in memory.
"""

import os
import re
import secrets
import struct
import subprocess
import sys
import tempfile

from guest_answers import KERNEL, Guest
from qemu_ram import SCRIPTS, need_qemu, skip

MIB = 512
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
    need_qemu()
    cached = subprocess.run([SCRIPTS / "kernel.sh", "path", KERNEL, "vmlinux"], capture_output=True)
    if cached.returncode:
        skip(f"kernel {KERNEL} is not in the cache: scripts/kernel.sh fetch {KERNEL}")
    holder = subprocess.Popen([vas, "create", "--memory", f"{MIB}M", "--machine", "q35"],
                              stdout=subprocess.PIPE, text=True)
    guest = None
    try:
        pid, number = holder.stdout.readline().strip().split("/")
        fd = os.open(f"/proc/{pid}/fd/{number}", os.O_RDWR)
        guest = Guest("q35", MIB, fd, secrets.token_hex(8))
        guest.wait_for(r"demo: marker at gpa (0x[0-9a-f]+)")
        with tempfile.NamedTemporaryFile() as file:
            subprocess.run([vas, "dump", f"{pid}/{number}", "--format", "elf", "-o", file.name],
                           check=True)
            with open(file.name, "rb") as core:
                check(core.read())
    finally:
        if guest:
            guest.kill()
        holder.terminate()
        holder.wait()
    print("ok")


if __name__ == "__main__":
    main()
