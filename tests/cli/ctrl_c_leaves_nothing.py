#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Ctrl-C at any moment of a verb that takes its time: no part of a file, no vas, no process is left.

SIGINT goes to the whole process group, as a terminal sends it, after a random part of the time that
the verb takes when nobody disturbs it. The vas that it worked on is as before. A file may be there
if it is whole: the signal came between its appearance and the end of the command.
"""

import filecmp
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time

VAS = os.environ["VAS"]
HANG = 300  # seconds
ROUNDS = 8
SIZE = 96 << 20


def vas(*words, check=True):
    return subprocess.run([VAS, *words], check=check, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=HANG)


def wait_until(true, what):
    end = time.monotonic() + HANG
    while not true():
        if time.monotonic() > end:
            sys.exit(f"never came true: {what}")
        time.sleep(0.01)


def info(name):
    return json.loads(vas("info", name, "--json").stdout)


class Verb:
    """One command: its words; the file that it makes if any, and the words that take it if it is whole;
    whether it holds a vas at its end; what it reads from its stdin; its exit codes."""

    def __init__(self, name, *words, makes=None, taken_by=None, holds=False, text=None,
                 ends=(0,)):
        self.name, self.words, self.makes, self.taken_by = name, words, makes, taken_by
        self.holds, self.text, self.ends = holds, text, ends

    def is_whole(self, path, like):
        if not self.taken_by:
            return filecmp.cmp(path, like, shallow=False)
        code, _, _ = held(Verb("", *self.taken_by, path))
        return code in (0, -signal.SIGINT)

    def start(self):
        return subprocess.Popen([VAS, *self.words], stdin=self.text and open(self.text, "rb"),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                start_new_session=True)


def is_gone(group):
    """Zombies that nobody waits for are left behind by no one: their parent has ended."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def interrupt(process):
    try:
        os.killpg(process.pid, signal.SIGINT)
    except ProcessLookupError:
        pass
    out, err = process.communicate(timeout=HANG)
    wait_until(lambda: is_gone(process.pid), f"{process.args}: its processes end")
    return process.returncode, out, err


def held(verb):
    """Of one that holds a vas, once it has it: how it ends, what it said, and how long it took."""
    begin = time.monotonic()
    process = verb.start()
    line = process.stdout.readline()
    took = time.monotonic() - begin
    code, _, err = interrupt(process)
    return code if line else 1, err, took


def undisturbed(verb):
    """How long it takes."""
    if verb.holds:
        return held(verb)[2]
    begin = time.monotonic()
    process = verb.start()
    _, err = process.communicate(timeout=HANG)
    if process.returncode not in verb.ends:
        sys.exit(f"{verb.name}: exit status {process.returncode}: {err}")
    return time.monotonic() - begin


def main():
    seed = int(os.environ.get("SEED", secrets.randbits(32)))
    random.seed(seed)
    print(f"# seed {seed}")
    name = f"vas-test-{os.getpid()}-held"  # no beginning of another test's
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VAS_RUN_DIR"] = folder + "/run"
        there, out = folder + "/there", folder + "/out"
        os.mkdir(there)
        os.mkdir(out)
        content = there + "/content"
        with open(content, "wb") as file:
            file.write(random.randbytes(SIZE))
        holder = subprocess.Popen([VAS, "create", "--name", name, "--memory", str(SIZE)],
                                  stdout=subprocess.PIPE, text=True)
        try:
            holder.stdout.readline()
            vas("write", name, "0", "--file", content)
            vas("snapshot", name, there + "/snapshot")
            vas("send", name, there + "/stream")
            vas("fill", name, "0", "4096", "1")
            verbs = [
                Verb("snapshot", "snapshot", name, out + "/a", makes="a",
                     taken_by=("restore", "-a")),
                Verb("incremental snapshot", "snapshot", "--parent", there + "/snapshot", "-a",
                     name, out + "/b", makes="b", taken_by=("restore", "-a")),
                Verb("restore", "restore", there + "/snapshot", holds=True),
                Verb("lazy restore", "restore", "--lazy", there + "/snapshot", holds=True),
                Verb("clone", "clone", "--number", "3", there + "/snapshot", holds=True),
                Verb("receive", "receive", there + "/stream", holds=True),
                Verb("send", "send", name, out + "/c", makes="c",
                     taken_by=("receive",)),
                Verb("dump", "dump", name, "--format", "elf", "-o", out + "/d", makes="d"),
                Verb("frozen dump", "dump", name, "--frozen", "-o", out + "/e", makes="e"),
                Verb("read", "read", name, "0", str(SIZE), "-o", out + "/r", makes="r"),
                Verb("find", "find", name, "--count", "--hex", "0123456789abcdef",
                     ends=(0, 1)),
                Verb("frozen find", "find", name, "--frozen", "--count", "--hex", "01234567 89abcdef",
                     ends=(0, 1)),
                Verb("compare", "compare", name, "4096", "--file", content + ".rest",
                     ends=(0, 1)),
                Verb("write", "write", name, "0", text=content),
                Verb("top", "top", "--batch", "--track", "--number", "3", "--delay", "0.1", name),
                Verb("metrics", "metrics"),
            ]
            with open(content, "rb") as whole, open(content + ".rest", "wb") as rest:
                whole.seek(4096)
                rest.write(whole.read())
            begun = sorted(os.listdir(there))
            for verb in verbs:
                check(verb, name, there, begun, out, folder + "/like")
        finally:
            holder.terminate()
            holder.wait()
    print("ok")


def check(verb, name, there, begun, out, like):
    took = undisturbed(verb)
    if verb.makes:
        os.rename(f"{out}/{verb.makes}", like)
    codes = []
    for _ in range(ROUNDS):
        process = verb.start()
        time.sleep(random.random() * 1.1 * took)
        code, _, err = interrupt(process)
        codes.append(code)
        who = f"{verb.name}, {code}: "
        if code not in (*verb.ends, -signal.SIGINT):
            sys.exit(who + err)
        made = os.listdir(out)
        if made not in ([verb.makes], []) or (code == 0 and verb.makes and not made):
            sys.exit(who + f"made {made}")
        for left in made:
            if not verb.is_whole(f"{out}/{left}", like):
                sys.exit(who + f"{left} is not whole")
            os.remove(f"{out}/{left}")
        if sorted(os.listdir(there)) != begun:
            sys.exit(who + f"left {os.listdir(there)}")
        seen = [x["name"] for x in json.loads(vas("ls", "--json").stdout)
                if x["name"].startswith(name)]
        if seen != [name]:
            sys.exit(who + f"there are {seen}")
        # Nobody stands still, once the holder has back what it had lent; and nobody is left that the
        # freeze, or the table of binders, knows.
        wait_until(lambda: not vas("write", name, "0", "--hex", "01" * 16, check=False).returncode,
                   who + "it can be written")
        wait_until(lambda: not info(name)["tracking"], who + "tracking ends")
        about = info(name)
        if about["frozen"] or about["pins"] or about["binders"] > 1:
            sys.exit(who + f"left {about}")
        run = os.environ["VAS_RUN_DIR"]
        if os.path.isdir(run) and len(os.listdir(run)) > 1:
            sys.exit(who + f"left {os.listdir(run)}")
    print(f"# {verb.name}: {took:.2f} s, {codes.count(-signal.SIGINT)} of {ROUNDS} interrupted")


if __name__ == "__main__":
    main()
