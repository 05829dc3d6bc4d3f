# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A stock Linux that runs on a vas which "vas create" holds."""

import contextlib
import os
import secrets
import subprocess

from guest_answers import KERNEL, Guest
from qemu_ram import SCRIPTS, need_qemu, skip

MIB = 512


def kernel_part(part):
    """The path of a part of the guest's kernel, as kernel.sh has it; or the test is skipped."""
    path = subprocess.run([SCRIPTS / "kernel.sh", "path", KERNEL, part], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    if path.returncode:
        option = "--symbols " if part == "symbols" else ""
        skip(f"not in the cache: scripts/kernel.sh fetch {option}{KERNEL}")
    return path.stdout.strip()


@contextlib.contextmanager
def held_guest(vas):
    """PID/FD of the vas, once the guest has booted."""
    need_qemu()
    kernel_part("vmlinux")
    holder = subprocess.Popen([vas, "create", "--memory", f"{MIB}M", "--machine", "q35"],
                              stdout=subprocess.PIPE, text=True)
    guest = None
    try:
        name = holder.stdout.readline().strip()
        pid, number = name.split("/")
        fd = os.open(f"/proc/{pid}/fd/{number}", os.O_RDWR)
        guest = Guest("q35", MIB, fd, secrets.token_hex(8))
        guest.wait_for(r"demo: marker at gpa (0x[0-9a-f]+)")
        yield name
    finally:
        if guest:
            guest.kill()
        holder.terminate()
        holder.wait()
