#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Virtual addresses of a stock Linux lead where QEMU's monitor says: gva2gpa.

usage: walks_match_qemu.py WALK

Most addresses are of ranges that "info mem" lists, at random, the same share of each range; the others
are anywhere. WALK is the program of walk.c. The tables
have four levels: five are what a compressed kernel turns on, and this one is not compressed.
"""

import json
import os
import random
import re
import secrets
import socket
import subprocess
import sys
import tempfile

from guest_answers import KERNEL, Guest
from qemu_ram import SCRIPTS, need_qemu, sealed_file, skip

MIB = 512  # so little of a q35 is in one range, at offset = gpa
NR_ADDRESSES = 100_000
AT_ONCE = 500
DIRECT_MAP = 0xffff888000000000  # of x86-64 Linux, where it is not randomized
RANGE = re.compile(r"^([0-9a-f]{16})-([0-9a-f]{16})", re.M)


class Monitor:
    """QEMU's, through QMP, which does not echo."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("r")
        self.file.readline()
        self.ask([{"execute": "qmp_capabilities"}])

    def ask(self, commands):
        self.socket.sendall("".join(json.dumps(command) for command in commands).encode())
        answers = []
        while len(answers) < len(commands):
            message = json.loads(self.file.readline())
            if "event" not in message:
                answers.append(message["return"])
        return answers

    def say(self, lines):
        return self.ask([{"execute": "human-monitor-command", "arguments": {"command-line": line}}
                         for line in lines])


def addresses(ranges):
    yield DIRECT_MAP  # gpa 0
    for _ in range(NR_ADDRESSES - 1):
        if random.random() < 0.1:
            yield random.getrandbits(64)
        elif random.random() < 0.1:
            yield random.choice(random.choice(ranges))  # and right behind it
        else:
            start, end = random.choice(ranges)
            yield random.randrange(start, end)


def gpa_of(answer):
    """As walk.c prints it. QEMU's "%#x" of a zero has no 0x."""
    answer = answer.strip().removeprefix("gpa: ")
    return answer if answer == "Unmapped" else hex(int(answer, 16))


def compare(monitor, fd, walk):
    monitor.say(["stop"])
    registers, memory = monitor.say(["info registers", "info mem"])
    cr3, cr4 = (re.search(rf"\b{name}=([0-9a-f]+)", registers)[1] for name in ("CR3", "CR4"))
    if int(cr4, 16) & 1 << 12:
        sys.exit(f"not ok - tables of five levels: CR4 is {cr4}")
    ranges = [(int(start, 16), int(end, 16)) for start, end in RANGE.findall(memory)]
    wanted = [f"{va:x}" for va in addresses(ranges)]
    said = []
    for i in range(0, len(wanted), AT_ONCE):
        said += monitor.say([f"gva2gpa 0x{va}" for va in wanted[i:i + AT_ONCE]])
    said = [gpa_of(answer) for answer in said]
    walked = subprocess.run([walk, f"/proc/self/fd/{fd}", cr3], check=True,
                            pass_fds=[fd], input="\n".join(wanted), capture_output=True,
                            text=True).stdout.split()
    mapped = sum(answer != "Unmapped" for answer in said)
    differ = [each for each in zip(wanted, said, walked) if each[1] != each[2]]
    print(f"# {len(ranges)} ranges, {len(wanted)} addresses, {mapped} mapped, {len(differ)} differ")
    if len(walked) != len(wanted) or mapped < len(wanted) // 2 or differ:
        sys.exit(f"not ok - address, QEMU, walk: {differ[:10]}")


def main():
    walk = sys.argv[1]
    need_qemu()
    cached = subprocess.run([SCRIPTS / "kernel.sh", "path", KERNEL, "vmlinux"], capture_output=True)
    if cached.returncode:
        skip(f"kernel {KERNEL} is not in the cache: scripts/kernel.sh fetch {KERNEL}")
    seed = int(os.environ.get("SEED", secrets.randbits(32)))
    random.seed(seed)
    print(f"# seed {seed}")
    fd = sealed_file(MIB)
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/monitor"
        more = ["-qmp", f"unix:{path},server=on,wait=off"]
        guest = Guest("q35", MIB, fd, secrets.token_hex(8), more)
        try:
            guest.wait_for(r"demo: marker at gpa (0x[0-9a-f]+)")
            compare(Monitor(path), fd, walk)
        finally:
            guest.kill()
    print("ok")


if __name__ == "__main__":
    main()
