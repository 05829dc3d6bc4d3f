# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""without_libvirt.py PID SERIAL: how a QEMU of libvirt's was started, for one of the same devices
without libvirt, a word a line: no fds of libvirt's, and the console in another file."""

import pathlib
import sys

pid, serial = sys.argv[1:]
words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:-1]
dropped = ("-name", "-uuid", "-sandbox", "-mon", "-add-fd", "-S", "-no-shutdown")
values = ('"qom-type":"secret"', "id=charmonitor", "id=vas-monitor", "vmgenid,")
chardevs = {"id=charserial0": f"file,id=charserial0,path={serial}",
            "id=charchannel0": "null,id=charchannel0"}

print("qemu-system-x86_64")
while words:
    option, value = words.pop(0), []
    if words and (not words[0].startswith("-") or option == "-append"):
        value = [words.pop(0)]
    if option in dropped or any(part in text for part in values for text in value):
        continue
    for part, chardev in chardevs.items():
        value = [chardev if option == "-chardev" and part in text else text for text in value]
    print(option, *value, sep="\n")
