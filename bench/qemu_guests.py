# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What benches of guests in QEMU share: Linux guests under TCG on a vas, by the vas command, and QEMU's own monitor."""

import argparse
import contextlib
import fnmatch
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20


class Monitor:
    """A monitor of QEMU's, from the moment on that it listens."""

    def __init__(self, path, process):
        deadline = time.monotonic() + 120
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(path)
                break
            except OSError:
                sock.close()
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.001)
        self.stream = sock.makefile("rw")
        self.events = []
        self.read()
        self.execute("qmp_capabilities")

    def read(self):
        line = self.stream.readline()
        if not line:
            raise EOFError("QEMU has ended")
        return json.loads(line)

    def take(self, message):
        if "event" in message:
            stamp = message["timestamp"]
            self.events.append((message["event"], stamp["seconds"] + stamp["microseconds"] / 1e6))

    def execute(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            message = self.read()
            if "error" in message:
                raise RuntimeError(f"{command}: {message['error']}")
            if "return" in message:
                return message["return"]
            self.take(message)

    def when(self, event):
        """The time of the next such event, after those that were asked for before."""
        while True:
            while self.events:
                name, at = self.events.pop(0)
                if name == event:
                    return at
            self.take(self.read())

    def when_running(self):
        """Of one that may have gone on before its monitor was open: not earlier than it was."""
        if self.execute("query-status")["running"] and not self.events:
            return time.time()
        return self.when("RESUME")

    def capability(self, state):
        self.execute("migrate-set-capabilities",
                     capabilities=[{"capability": "x-ignore-shared", "state": state}])

    def await_migration(self):
        status = None
        while status != "completed":
            time.sleep(0.001)
            status = self.execute("query-migrate").get("status")
            if status == "failed":
                raise RuntimeError("a migration has failed")

    def migrate(self, command, uri):
        self.execute(command, uri=uri)
        self.await_migration()


def await_text(output, text, seconds=300):
    seen, deadline = b"", time.monotonic() + seconds
    while text.encode() not in seen:
        if not select.select([output], [], [], max(deadline - time.monotonic(), 0))[0]:
            raise TimeoutError(f"the guest says nothing before '{text}'")
        part = os.read(output, 4096)
        if not part:
            raise EOFError(f"the guest has ended before '{text}'")
        seen += part


class Guests:
    """Those of one bench. root, vas, init: of the project, the command, and the guests' first process."""

    def __init__(self, root, vas, init, folder, memory, touched):
        self.root, self.vas = root, vas
        self.folder, self.memory, self.touched = folder, memory, touched
        os.environ["VAS_RUN_DIR"] = f"{folder}/run"
        os.makedirs(f"{folder}/root/dev")
        os.makedirs(f"{folder}/root/proc")
        subprocess.run(["cp", init, f"{folder}/root/init"], check=True)
        self.shell(f"machine_initramfs {folder}/root {folder}/initramfs")
        self.kernel = subprocess.run([f"{root}/scripts/kernel.sh", "path", "6.1", "vmlinux"],
                                     check=True, capture_output=True, text=True).stdout.strip()
        self.cmdline = self.shell("machine_cmdline").strip()
        self.nr = 0
        self.processes = []

    def start(self, command, **how):
        self.processes.append(subprocess.Popen(command, **how))
        return self.processes[-1]

    def end(self):
        """All that still runs."""
        while self.processes:
            process = self.processes.pop()
            if process.poll() is None:
                process.terminate()
                process.wait()

    def shell(self, command):
        return subprocess.run(["sh", "-c", f". {self.root}/scripts/vm-machine.sh; {command}"],
                              check=True, capture_output=True, text=True).stdout

    def qemu(self, serial, monitor):
        return ["qemu-system-x86_64", "-M", "pc-q35-7.2", "-accel", "tcg,thread=multi", "-cpu", "max",
                "-m", f"{self.memory}M", "-nodefaults", "-display", "none", "-serial", serial,
                "-kernel", self.kernel, "-initrd", f"{self.folder}/initramfs",
                "-append", self.cmdline, "-qmp", f"unix:{monitor},server=on,wait=off"]

    def quiet(self, monitor=None):
        """The same guest, without what two QEMUs cannot have at once, but for that monitor."""
        command = self.qemu("null", monitor)
        return command if monitor else command[:-2]

    def pipe(self, what):
        """For a -serial pipe: its path, and an fd to read what the guest writes to it."""
        self.nr += 1
        path = f"{self.folder}/{what}-{self.nr}"
        os.mkfifo(path + ".in")
        os.mkfifo(path + ".out")
        output = os.open(path + ".out", os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(output, True)
        return path, output

    def boot(self, *options, churns=0, ticks=None):
        """
        A guest that has touched its memory, writes so many MiB/s, and ticks at its second port, as QEMU's -serial
        has it: its holder, its monitor, its name.
        """
        pipe, output = self.pipe("pipe")
        name = f"bench-{os.getpid()}-{self.nr}"
        monitor = f"{self.folder}/qmp-{self.nr}"
        holder = self.start([self.vas, "run", "-q", "--name", name, *options, "--",
                                   *self.qemu("pipe:" + pipe, monitor),
                                   *(["-serial", ticks] if ticks else [])])
        qmp = Monitor(monitor, holder)
        await_text(output, "count: 3")
        self.tell(pipe, output, f"fill {self.touched}", f"fill: {self.touched} MiB")
        if churns:
            self.tell(pipe, output, f"churn {churns}", f"churn: {churns} MiB/s")
        if ticks:
            self.tell(pipe, output, "tick", "tick: ")
        # Nobody reads on: what it prints must not fill the pipe.
        self.start(["cat"], stdin=output, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(output)
        return holder, qmp, name

    @staticmethod
    def tell(pipe, output, line, answer):
        with open(pipe + ".in", "w", encoding="ascii") as console:
            console.write(line + "\n")
        await_text(output, answer)

    def ram_files(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = open(f"/proc/{pid}/cmdline", encoding="utf-8").read().split("\0")
            except OSError:
                continue
            for word in words:
                if word.startswith("memory-backend-file,id=vas-ram") and self.folder in " ".join(words):
                    yield f"/proc/{pid}/fd/" + word.split("/fd/")[1].split(",")[0]

    def fresh(self, nr):
        self.nr += 1
        return [f"{self.folder}/qmp-{self.nr}-{i}" for i in range(nr)]


@contextlib.contextmanager
def silent_unless_it_fails():
    """Each QEMU that is ended says so: what was said is of interest where something fails."""
    with tempfile.TemporaryFile() as said:
        errors = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(errors, said.read())
            raise
        finally:
            os.dup2(errors, 2)
            os.close(errors)


def report(bench, case, times, aims, as_json):
    for name, taken in times.items():
        figures = [t * 1e3 for t in taken]
        record = {"bench": bench, "case": case, "subject": name, "unit": "ms",
                  "median": round(statistics.median(figures), 1), "min": round(min(figures), 1),
                  "max": round(max(figures), 1),
                  "ratio": round(statistics.median(t / l for t, l in zip(taken, times["limit"])),
                                 3),
                  "aim": aims.get(name, aims.get(f"{case.split('/')[0]}/{name}"))}
        if as_json:
            print(json.dumps(record), flush=True)
        else:
            print("{case:15} {subject:12} {median:9} {unit:3} {min:9} {max:9} {ratio:7} {0:>4}".format(
                record["aim"] or "", **record), flush=True)


def main(name, doc, make, cases):
    """
    make(folder, MiB of a guest, MiB that it has touched): what is given to a case. cases: by name, a
    function of that and of the number of rounds; the MiB if they are not as asked for; and what the ratio of a
    subject, or of one in a case (CASE/SUBJECT), should be at most. The function returns the seconds of each
    round by subject, or those by the case that they are shown as.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--case", default="*", metavar="PATTERN")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=512, metavar="MIB", help="of the guest")
    parser.add_argument("--touched", type=int, default=128, metavar="MIB", help="by the guest")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the cases' names")
    options = parser.parse_args()
    wanted = [case for case in cases if fnmatch.fnmatch(case, options.case)]
    if options.list:
        print("\n".join(wanted))
        sys.exit()
    if not options.json:
        print(f"{'case':15} {'subject':12} {'median':>9} {'':3} {'min':>9} {'max':>9} {'ratio':>7}  aim")
    for case in wanted:
        run, sizes, aims = cases[case]
        with tempfile.TemporaryDirectory() as folder, silent_unless_it_fails():
            guests = make(folder, *sizes or (options.memory, options.touched))
            try:
                times = run(guests, options.rounds)
            finally:
                guests.end()
        shown = {case: times} if "limit" in times else times
        for part, taken in shown.items():
            report(name, part, taken, aims, options.json)
