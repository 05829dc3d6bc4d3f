# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""By QEMU's monitor, for tests in shell:

ask_qemu.py SOCKET status           how the guest is: running, paused, ...
ask_qemu.py SOCKET balloon MIB      have the guest give memory back, until so much is left
ask_qemu.py SOCKET plug ID BYTES    memory of QEMU's own
ask_qemu.py SOCKET request ID BYTES have a virtio-mem give the guest so much
"""

import json
import socket
import sys
import time


class Monitor:
    def __init__(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        self.stream = sock.makefile("rw")
        self.stream.readline()
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            message = json.loads(self.stream.readline())
            if "error" in message:
                sys.exit(f"{command}: {message['error']}")
            if "return" in message:
                return message["return"]

    def status(self):
        print(self.execute("query-status")["status"])

    def plug(self, name, size):
        self.execute("object-add", **{"qom-type": "memory-backend-ram", "id": f"{name}-ram",
                                      "size": int(size)})
        self.execute("device_add", driver="pc-dimm", id=name, memdev=f"{name}-ram")

    def request(self, name, size):
        self.execute("qom-set", path=f"/machine/peripheral/{name}", property="requested-size",
                     value=int(size))

    def balloon(self, mib):
        wanted = int(mib) << 20
        self.execute("balloon", value=wanted)
        deadline = time.monotonic() + 300
        while self.execute("query-balloon")["actual"] != wanted:
            if time.monotonic() > deadline:
                sys.exit(f"the guest has {self.execute('query-balloon')}")
            time.sleep(0.05)


getattr(Monitor(sys.argv[1]), sys.argv[2])(*sys.argv[3:])
