#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The tasks of a running Linux guest, read by drgn from where they are: nothing is copied first.

usage: tasks.py GUEST VMLINUX

GUEST as the command vas has it; VMLINUX is the guest's kernel with its debug information.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile

import drgn
import vas
from drgn.helpers.linux.pid import for_each_task

VAS = os.environ.get("VAS", "vas")
PT_LOAD = 1


def open_guest(name):
    """Who holds it has an fd of it, and nobody hears of one more who reads."""
    info = json.loads(subprocess.check_output([VAS, "info", name, "--json"]))
    return vas.observe(os.open(f"/proc/{info['pid']}/fd/{info['fd']}", os.O_RDONLY))


def loads(headers):
    """(virtual address, gpa, size) of each part of memory that an ELF file speaks of."""
    phoff, = struct.unpack_from("<Q", headers, 32)
    phnum, = struct.unpack_from("<H", headers, 56)
    for at in range(phoff, phoff + 56 * phnum, 56):
        kind, _, _, va, gpa, _, size, _ = struct.unpack_from("<IIQQQQQQ", headers, at)
        if kind == PT_LOAD:
            yield va, gpa, size


def add_memory(program, guest, va, gpa, size):
    def read(address, count, offset, physical):
        return guest.peek(gpa + offset, count)

    program.add_memory_segment(gpa, size, read, physical=True)
    if va != gpa:
        program.add_memory_segment(va, size, read)


def open_program(name, vmlinux):
    program = drgn.Program()
    with tempfile.NamedTemporaryFile() as file:
        subprocess.check_call([VAS, "dump", name, "--format", "elf-headers", "-o", file.name])
        # It knows from the note in it that this is Linux, and which.
        program.set_core_dump(file.name)
        with open(file.name, "rb") as headers:
            parts = list(loads(headers.read()))
    guest = open_guest(name)
    for part in parts:
        add_memory(program, guest, *part)
    program.load_debug_info([vmlinux])
    return program


def main():
    for task in for_each_task(open_program(*sys.argv[1:3])):
        print(task.pid.value_(), task.comm.string_().decode(errors="replace"))


if __name__ == "__main__":
    main()
