# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A guest is saved, cloned and moved, and at a random moment a process that takes part in it is killed: the
command, who holds the guest, its QEMU, or a receiver. Afterwards it runs in exactly one place, or stands in
one from which it goes on, with its memory as it was, unless its QEMU itself was killed; a file is whole or
not there; and in the run folder nothing is left.

killed_at_any_moment_a_guest_is_in_one_place.py VAS COUNTING_INIT MIB
TEST_ROUNDS: how often; TEST_SEED.
"""

import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from held_guest import kernel_part
from qemu_ram import SCRIPTS, need_qemu

VAS, INIT, MIB = sys.argv[1:4]
PATIENCE_S = 300  # with what hangs
DELAY_S = 0.5     # until the kill, at most


def die(text):
    sys.exit(f"FAILED: {text}")


def wait_until(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            die(f"never came true: {what}")
        time.sleep(0.02)
    return value


def shell(command):
    script = f". {SCRIPTS}/vm-machine.sh; {command}"
    return subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def links(pid):
    """The fds of a process, with where they lead to."""
    for path in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            yield os.path.basename(path), os.readlink(path)
        except OSError:
            pass


class Qemu:
    """A QEMU of this test's, found by its console, whoever has started it."""

    def __init__(self, test, pid, console):
        self.test, self.pid, self.console = test, pid, console

    def status(self):
        """As its monitor says, which serves one client at a time; None: it has ended."""
        folder = next((to for _, to in links(self.pid) if to.startswith(self.test.run + "/")), None)
        if not folder:
            return None
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(f"{folder}/qemu/monitor")
                with sock.makefile("rw") as stream:
                    stream.readline()
                    for command in "qmp_capabilities", "query-status":
                        stream.write(json.dumps({"execute": command}) + "\n")
                        stream.flush()
                        while "return" not in (answer := json.loads(stream.readline())):
                            pass
            return answer["return"]["status"]
        except (OSError, ValueError):
            return None

    def reference(self):
        """PID/FD of its vas. It has an fd of that, and of its RAM, which may be another file."""
        for fd, to in links(self.pid):
            if to.startswith("/memfd:") and not self.test.vas("info", f"{self.pid}/{fd}").returncode:
                return f"{self.pid}/{fd}"
        return None

    def count(self):
        with open(self.console, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if "BROKEN" in text:
            die(next(line for line in text.splitlines() if "BROKEN" in line))
        counts = re.findall(r"count: (\d+), ", text)
        return int(counts[-1]) if counts else 0

    def goes_on(self, how_far=3):
        start = self.count()
        wait_until(f"{self.console} goes on", lambda: self.count() >= start + how_far)

    def end(self):
        kill(self.pid)
        wait_until(f"QEMU {self.pid} ends", lambda: self.pid not in self.test.all_pids())


class Test:
    def __init__(self, folder):
        self.folder, self.run = folder, f"{folder}/run"
        os.environ["VAS_RUN_DIR"] = self.run
        os.environ["TMPDIR"] = f"{folder}/tmp"
        for name in "root/dev", "root/proc", "tmp":
            os.makedirs(f"{folder}/{name}")
        shutil.copy(INIT, f"{folder}/root/init")
        shell(f"machine_initramfs {folder}/root {folder}/initramfs")
        self.append = shell("machine_cmdline").strip() + " vas_seed=77"
        self.kernel = kernel_part("vmlinux")
        self.nr = 0
        self.started = []

    # ---- processes --------------------------------------------------------------------------

    def vas(self, *words):
        return subprocess.run([VAS, *words], capture_output=True, text=True, timeout=PATIENCE_S)

    def begin(self, *words):
        with open(f"{self.folder}/log", "ab") as log:
            process = subprocess.Popen([VAS, *words], stdout=subprocess.PIPE, stderr=log)
        self.started.append(process)
        return process

    def command(self):
        """A QEMU with a console of its own."""
        self.nr += 1
        return ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
                "-m", f"{MIB}M", "-nodefaults", "-display", "none", "-no-reboot",
                "-serial", f"file:{self.folder}/console-{self.nr}", "-kernel", self.kernel,
                "-initrd", f"{self.folder}/initramfs", "-append", self.append]

    def qemus(self):
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    words = file.read().split("\0")
            except OSError:
                continue
            if not os.path.basename(words[0]).startswith("qemu-system"):
                continue
            console = [word[5:] for word in words if word.startswith(f"file:{self.folder}/console-")]
            if console:
                found.append(Qemu(self, int(path.split("/")[2]), console[0]))
        return found

    def all_pids(self):
        return [qemu.pid for qemu in self.qemus()]

    # ---- the guest --------------------------------------------------------------------------

    def boot(self):
        """A template: all that can be done with a guest can be done with it."""
        self.holder = self.begin("run", "-q", "--template", "--", *self.command())
        self.guest = wait_until("QEMU starts", self.qemus)[0]
        wait_until("it counts", lambda: os.path.exists(self.guest.console) and self.guest.count() > 2)
        self.is_template = True

    def places(self):
        """Where a guest is, once a command has looked and whatever ends has ended: QEMU and its status."""
        def settled():
            if self.vas("create", "--memory", "1M", "--", "true").returncode:
                return None
            seen = [(qemu, qemu.status()) for qemu in self.qemus()]
            busy = [s for _, s in seen if s not in ("running", "paused", "postmigrate")]
            return None if busy else (seen,)
        return wait_until("each QEMU runs or stands", settled)[0]

    def settle_in(self, places):
        """One is left. If it stands, it goes on."""
        if len(places) != 1:
            die(f"it is in {len(places)} places: {[(q.console, s) for q, s in places]}")
        qemu, status = places[0]
        if status != "running":
            print(f"#   stands in {os.path.basename(qemu.console)}: {status}", flush=True)
            reference = wait_until("its vas is found", qemu.reference)
            wait_until("it is resumed", lambda: self.vas("resume", reference).returncode == 0)
        qemu.goes_on()
        self.guest = qemu

    # ---- what is done -----------------------------------------------------------------------

    def strike(self, victims):
        """At any moment, kill one of them; and wait for the command."""
        name, pid = random.choice(victims)
        time.sleep(random.uniform(0, DELAY_S))
        if pid:
            kill(pid)
        return name

    def finish(self, process):
        process.wait(PATIENCE_S)
        return process.returncode

    def victims(self, process):
        return [("command", process.pid), ("holder", self.holder.pid if self.holder else None),
                ("QEMU", self.guest.pid)]

    def snapshot(self):
        file = f"{self.folder}/snapshot"
        process = self.begin("snapshot", self.guest.reference(), file)
        struck = self.strike(self.victims(process))
        done = self.finish(process)
        if done == 0 and not os.path.exists(file):
            die("exit code 0, and no file")
        if os.path.exists(file):
            self.is_whole(file, struck)
            os.unlink(file)
        self.after(struck)

    def is_whole(self, file, struck):
        """The guest in it goes on. Of one whose QEMU was dead before it could be asked, it is the memory alone."""
        other = self.begin("restore", file, "--", *self.command())
        console = f"{self.folder}/console-{self.nr}"
        wait_until("what was saved goes on", lambda: other.poll() is not None or
                   [q for q in self.qemus() if q.console == console and os.path.exists(console) and q.count()])
        if other.poll() is not None:
            if struck == "QEMU":
                other = self.begin("restore", file)
            if not other.stdout.readline():
                die(f"a file that is there cannot be restored: {other.wait(PATIENCE_S)}")
        other.terminate()
        other.wait(PATIENCE_S)

    def clone(self):
        """Copied clones are guests of their own: the original goes on."""
        original = self.guest
        process = self.begin("clone", self.guest.reference(), "--", *self.command())
        struck = self.strike(self.victims(process))
        console = f"{self.folder}/console-{self.nr}"
        wait_until("the clone runs, or does not", lambda: process.poll() is not None or
                   [q for q in self.qemus() if q.console == console and os.path.exists(console) and q.count()])
        for qemu, status in self.places():
            if qemu.console == console:
                if status == "running":
                    qemu.goes_on()
                qemu.end()
        kill(process.pid)
        process.wait(PATIENCE_S)
        self.guest = original
        self.after(struck)

    def fork(self):
        """The guest becomes its clone."""
        original = self.guest
        process = self.begin("clone", "--private", self.guest.reference(), "--", *self.command())
        struck = self.strike(self.victims(process))
        console = f"{self.folder}/console-{self.nr}"
        wait_until("it has moved, or not", lambda: process.poll() is not None or
                   (os.path.exists(console) and os.path.getsize(console)))
        self.after(struck)
        if self.guest and self.guest.pid != original.pid:
            original.end()
            self.holder = process if process.poll() is None else None
            self.is_template = False

    def send(self):
        """A sender that is killed late cannot know where the guest is: a person says so, here the test."""
        path = f"{self.folder}/sock-{self.nr}"
        original = self.guest
        receiver = self.begin("receive", "--wait", "15", f"unix:{path}", "--", *self.command())
        console = f"{self.folder}/console-{self.nr}"
        wait_until("it listens", lambda: os.path.exists(path))
        process = self.begin("send", self.guest.reference(), f"unix:{path}")
        struck = self.strike([*self.victims(process), ("receiver", receiver.pid)])
        sent = self.finish(process)
        come = wait_until("it has come, or not", lambda: self.has_come(receiver, sent))
        places = self.places()
        if len([1 for _, status in places if status == "running"]) > 1:
            die("it runs here and there")
        if come == "yes":
            for qemu, _ in [p for p in places if p[0].console != console]:
                qemu.end()
            self.holder = receiver if receiver.poll() is None else None
            self.after(struck)
            self.is_template = False
        else:
            for qemu, _ in [p for p in places if p[0].console == console]:
                if sent == 0 or struck == "QEMU":
                    continue
                qemu.end()
            self.after(struck)
            if self.guest and self.guest.pid != original.pid:
                self.is_template, self.holder = False, None

    def has_come(self, receiver, sent):
        """'yes' by its word, or if the sender has heard so."""
        if receiver.poll() is not None:
            return "yes" if sent == 0 else "no"
        if not hasattr(receiver, "heard"):
            os.set_blocking(receiver.stdout.fileno(), False)
            receiver.heard = b""
        receiver.heard += receiver.stdout.read() or b""
        return "yes" if receiver.heard else None

    def after(self, struck):
        """Where the guest is by now. If its QEMU was killed, it may be nowhere."""
        places = self.places()
        if struck == "QEMU" and not places:
            self.guest = self.holder = None
            return
        self.settle_in(places)
        if struck == "holder":
            self.holder = None

    def round(self):
        if self.guest and not self.is_template:
            self.guest.end()
            self.guest = None
        if not self.guest:
            self.boot()
        do = random.choice([self.snapshot, self.clone, self.fork, self.send])
        start = time.monotonic()
        print(f"# {do.__name__}", flush=True)
        do()
        if left := os.listdir(f"{self.folder}/tmp"):
            die(f"a copy of the guest's memory is left: {left}")
        print(f"#   {time.monotonic() - start:.1f} s", flush=True)

    def end_all(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        for qemu in self.qemus():
            kill(qemu.pid)

    def nothing_is_left(self):
        return not self.qemus() and not self.vas("create", "--memory", "1M", "--", "true").returncode and \
            not os.listdir(self.run)


def main():
    need_qemu()
    seed = int(os.environ.get("TEST_SEED", random.randrange(1 << 32)))
    print(f"# seed {seed}", flush=True)
    random.seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        test = Test(folder)
        test.guest = test.holder = None
        try:
            for nr in range(int(os.environ.get("TEST_ROUNDS", "12"))):
                print(f"# round {nr + 1}", flush=True)
                test.round()
        except BaseException:
            with open(f"{folder}/log", encoding="utf-8", errors="replace") as log:
                print("# " + "# ".join(log.readlines()[-20:]), flush=True)
            raise
        finally:
            test.end_all()
        wait_until("nothing is left", test.nothing_is_left)


main()
