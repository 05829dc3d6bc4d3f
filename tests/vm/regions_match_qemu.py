#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The regions that demo-vm.sh names are those in which the installed QEMU puts its RAM.

QEMU is asked at both sides of every size at which a machine starts to split its RAM. What it maps
below 1 MiB (ROM over RAM) is left out: there gpa and offset are equal wherever RAM shows through.
"""

import os
import re
import subprocess
import sys

from qemu_ram import MIB, need_qemu, regions, sealed_file

SIZES = {
    "pc": (512, 3072, 3073, 3583, 3584, 3585, 8192),
    "q35": (512, 2048, 2049, 2815, 2816, 2817, 4096, 8192),
    "microvm": (512, 2816, 3072, 3073, 3584, 8192),
}
RAM_RANGE = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16}) \(prio \S+ ram\): ram\b(?: @([0-9a-f]+))?")


def flat_view(machine, mib):
    """QEMU's own account of the RAM that the CPUs see from 1 MiB up: (gpa, size, offset) each."""
    fd = sealed_file(mib)
    backend = f"memory-backend-file,id=ram,mem-path=/proc/self/fd/{fd},share=on,size={mib}M"
    command = ["qemu-system-x86_64", "-S", "-accel", "tcg", "-m", f"{mib}M", "-nodefaults"]
    command += ["-display", "none", "-monitor", "stdio", "-object", backend]
    command += ["-machine", f"{machine},memory-backend=ram"]
    answer = subprocess.run(command, check=True, pass_fds=[fd], input="info mtree -f\nquit\n",
                            capture_output=True, text=True).stdout
    os.close(fd)
    views = [view for view in answer.split("FlatView #") if 'AS "memory"' in view]
    if len(views) != 1:
        sys.exit(f"{machine}: 'info mtree -f' is not understood")
    found = [(int(start, 16), int(end, 16) + 1, int(offset or "0", 16))
             for start, end, offset in RAM_RANGE.findall(views[0])]
    return [(start, end - start, offset) for start, end, offset in found if start >= MIB]


def from_1_mib(layout):
    (gpa, size, offset), *rest = layout
    return [(gpa + MIB, size - MIB, offset + MIB), *rest]


def main():
    need_qemu()
    failed = 0
    for machine, sizes in SIZES.items():
        for mib in sizes:
            said, seen = from_1_mib(regions(machine, mib)), flat_view(machine, mib)
            good = said == seen
            failed += not good
            print(f"{'ok' if good else 'not ok'} - {machine} {mib} MiB")
            if not good:
                print(f"# said {said}\n# seen {seen}")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
