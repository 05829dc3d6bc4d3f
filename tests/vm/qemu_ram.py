# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A file that is a guest's RAM, for the tests here: made as a vas is made, but by hand."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
MIB = 1 << 20
CONTROL_AREA = 64 * 1024  # stands for what a vas keeps behind the RAM
F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 1, 2, 4


def skip(reason):
    print(f"skip: {reason}")
    sys.exit(77)


def need_qemu():
    if not shutil.which("qemu-system-x86_64"):
        skip("qemu-system-x86_64 is not installed")


def sealed_file(mib):
    """A sparse memfd for that much RAM and a control area, of a size that cannot change."""
    fd = os.memfd_create("ram", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, mib * MIB + CONTROL_AREA)
    fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)
    return fd


def regions(machine, mib):
    """What demo-vm.sh says about the RAM: a list of (gpa, size, offset)."""
    command = [SCRIPTS / "demo-vm.sh", "regions", "--machine", machine, "--mem", str(mib)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [tuple(int(word, 16) for word in line.split()) for line in lines.splitlines()]


def offset_of(gpa, layout):
    for start, size, offset in layout:
        if start <= gpa < start + size:
            return gpa - start + offset
    raise LookupError(f"gpa {gpa:#x} is in no region")
