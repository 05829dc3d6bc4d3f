#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A stock Linux runs on a sealed file, and this process talks with it through the file alone.

usage: guest_answers.py MACHINE MIB

The guest says on its console where its marker lies; the marker must stand in the file at the
offset that the regions give for that gpa, and an answer written there must come out of the console.
"""

import os
import re
import secrets
import selectors
import subprocess
import sys
import time

from qemu_ram import CONTROL_AREA, MIB, SCRIPTS, need_qemu, offset_of, regions, sealed_file, skip

KERNEL = "6.1"
DEADLINE_S = 1800
ANSWER_OFFSET = 256


class Guest:
    """A running guest and the lines of its console."""

    def __init__(self, machine, mib, fd, nonce, qemu_arguments=()):
        command = [SCRIPTS / "demo-vm.sh", "boot", "--fd", str(fd), "--nonce", nonce]
        command += ["--kernel", KERNEL, "--machine", machine, "--mem", str(mib)]
        command += ["--", *qemu_arguments]
        self.process = subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE)
        self.deadline = time.monotonic() + DEADLINE_S
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.text = b""

    def wait_for(self, pattern):
        """The first line that matches, or the end of the test."""
        while True:
            *lines, rest = self.text.split(b"\n")
            for line in lines:
                match = re.search(pattern, line.decode(errors="replace"))
                if match:
                    print(f"# {match.string.strip()}", flush=True)
                    return match
            ready = self.selector.select(self.deadline - time.monotonic())
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                sys.exit(f"not ok - no '{pattern}' on the console, which says:\n"
                         + self.text.decode(errors="replace"))
            self.text += chunk

    def kill(self):
        self.process.kill()
        self.process.wait()


def talk(guest, fd, layout, nonce):
    gpa = int(guest.wait_for(r"demo: marker at gpa (0x[0-9a-f]+)")[1], 16)
    offset = offset_of(gpa, layout)
    marker = f"VAS-DEMO-MARKER:{nonce}\0".encode()
    if os.pread(fd, len(marker), offset) != marker:
        sys.exit(f"not ok - no marker in the file at {offset:#x}, gpa {gpa:#x}")
    answer = "answer-" + secrets.token_hex(8)
    os.pwrite(fd, answer.encode() + b"\n", offset + ANSWER_OFFSET)
    guest.wait_for(f"demo: answer: {answer}")
    guest.wait_for("demo: heartbeat 2")
    return gpa


def main():
    machine, mib = sys.argv[1], int(sys.argv[2])
    need_qemu()
    cached = subprocess.run([SCRIPTS / "kernel.sh", "path", KERNEL, "vmlinux"], capture_output=True)
    if cached.returncode:
        skip(f"kernel {KERNEL} is not in the cache: scripts/kernel.sh fetch {KERNEL}")
    fd = sealed_file(mib)
    tail = secrets.token_bytes(CONTROL_AREA)
    os.pwrite(fd, tail, mib * MIB)
    layout, nonce = regions(machine, mib), secrets.token_hex(16)
    guest = Guest(machine, mib, fd, nonce)
    try:
        gpa = talk(guest, fd, layout, nonce)
    finally:
        guest.kill()
    if os.pread(fd, CONTROL_AREA, mib * MIB) != tail:
        sys.exit("not ok - something wrote behind the RAM")
    if len(layout) > 1 and gpa < layout[-1][0]:
        sys.exit(f"not ok - the marker at {gpa:#x} is not in the upper region")
    print(f"ok - {machine} {mib} MiB: marker at gpa {gpa:#x}, answered")


if __name__ == "__main__":
    main()
