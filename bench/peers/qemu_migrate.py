#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Migrate a paused QEMU to another one over a Unix socket, and say what it took.

usage: qemu_migrate.py FD BYTES CHANNELS

The source's RAM is the first BYTES of FD, mapped before it starts; the destination's is allocated before
anything comes. With more than one channel it is multifd. Prints nanoseconds, as QEMU counts them, and
nanoseconds of processor time of source and destination.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time

QEMU = "qemu-system-x86_64"


class Machine:
    """A QEMU, paused, and its monitor."""

    def __init__(self, folder, name, memory, arguments, fds=()):
        path = os.path.join(folder, name)
        self.process = subprocess.Popen(
            [QEMU, "-S", "-accel", "tcg", "-cpu", "qemu64", "-nodefaults", "-display", "none",
             "-machine", "pc,memory-backend=ram", "-object", memory,
             "-qmp", f"unix:{path},server=on,wait=off", *arguments],
            pass_fds=fds)
        self.monitor = self.connect(path)
        self.read()  # the greeting
        self.command("qmp_capabilities")

    def connect(self, path):
        deadline = time.monotonic() + 60
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(path)
                return sock.makefile("rw")
            except OSError:
                sock.close()
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def read(self):
        return json.loads(self.monitor.readline())

    def command(self, name, **arguments):
        json.dump({"execute": name, "arguments": arguments}, self.monitor)
        self.monitor.write("\n")
        self.monitor.flush()
        while True:
            answer = self.read()
            if "error" in answer:
                raise RuntimeError(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def cpu_ns(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 10**9 // os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.kill()
        self.process.wait()


def prepare(machine, channels):
    # As fast as it goes, and done in the first round if nothing is written meanwhile.
    parameters = {"max-bandwidth": 1 << 40, "downtime-limit": 100000}
    if channels > 1:
        machine.command("migrate-set-capabilities",
                        capabilities=[{"capability": "multifd", "state": True}])
        parameters["multifd-channels"] = channels
    machine.command("migrate-set-parameters", **parameters)


def wait(source):
    while True:
        info = source.command("query-migrate")
        if info["status"] == "completed":
            return info
        if info["status"] in ("failed", "cancelled"):
            raise RuntimeError(f"QEMU: migration {info['status']}: {info.get('error-desc', '')}")
        time.sleep(0.02)


def migrate(folder, fd, size, channels):
    uri = "unix:" + os.path.join(folder, "migration")
    memory = f"size={size},share=on,prealloc=on"
    arguments = ["-m", f"{size >> 20}M"]
    machines = []
    try:
        source = Machine(folder, "source", f"memory-backend-file,id=ram,mem-path=/proc/self/fd/{fd},{memory}",
                         arguments, (fd,))
        machines.append(source)
        destination = Machine(folder, "destination", f"memory-backend-memfd,id=ram,{memory}",
                              arguments + ["-incoming", "defer"])
        machines.append(destination)
        for machine in machines:
            prepare(machine, channels)
        destination.command("migrate-incoming", uri=uri)
        before = [machine.cpu_ns() for machine in machines]
        source.command("migrate", uri=uri)
        info = wait(source)
        after = [machine.cpu_ns() for machine in machines]
        return info["total-time"] * 10**6, after[0] - before[0], after[1] - before[1]
    finally:
        for machine in machines:
            machine.end()


def main():
    fd, size, channels = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        print(*migrate(folder, fd, size, channels))


main()
