# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""balloon.py SOCKET MIB: by QEMU's monitor, and until the guest has given so much back."""

import json
import socket
import sys
import time


def execute(monitor, command, **arguments):
    monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    monitor.flush()
    while True:
        message = json.loads(monitor.readline())
        if "error" in message:
            sys.exit(f"{command}: {message['error']}")
        if "return" in message:
            return message["return"]


def main(path, mib):
    wanted = mib << 20
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        with sock.makefile("rw") as monitor:
            monitor.readline()
            execute(monitor, "qmp_capabilities")
            execute(monitor, "balloon", value=wanted)
            deadline = time.monotonic() + 300
            while execute(monitor, "query-balloon")["actual"] != wanted:
                if time.monotonic() > deadline:
                    sys.exit(f"the balloon holds {execute(monitor, 'query-balloon')}")
                time.sleep(0.05)


main(sys.argv[1], int(sys.argv[2]))
