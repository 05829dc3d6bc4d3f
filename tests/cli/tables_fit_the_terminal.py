#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""vas ls and vas top on terminals of many widths, without colours; columns by name; all in a pipe."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

VAS = os.environ["VAS"]
LS = ["NAME", "PID/FD", "SIZE", "RESIDENT", "REGIONS", "BINDERS", "OWNER", "ATTACHED", "EVENTS",
      "HELD BY"]
TOP = ["NAME", "OWNER", "SIZE", "RESIDENT", "WRITTEN/s", "WORKING SET", "BINDERS", "DEVICES", "STATE"]


def on_terminal(width, *arguments):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen([VAS, *arguments], stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        text = b""
        while True:
            try:
                some = os.read(master, 4096)
            except OSError:  # so a terminal ends
                break
            text += some
        assert process.wait() == 0, text
    os.close(master)
    assert b"\x1b" not in text, text
    return text.decode().splitlines()


def heads(line):
    return re.split(r"  +", line.strip())


def is_in_order(some, of):
    rest = iter(of)
    return all(one in rest for one in some)


def run(*arguments, code=0):
    done = subprocess.run([VAS, *arguments], capture_output=True, text=True)
    assert done.returncode == code, (arguments, done)
    return done


def check(name):
    before = 0
    for width in (20, 40, 50, 60, 80, 100, 132, 10000):
        # Others' vas are in it, with whatever names.
        lines = on_terminal(width, "ls")
        shown = heads(lines[0])
        assert is_in_order(["NAME", "PID/FD", "SIZE"], shown) and is_in_order(shown, LS), shown
        assert shown == LS[:3] or all(len(line) <= width for line in lines), (width, lines)

        lines = on_terminal(width, "top", "-1", name)
        shown = heads(lines[0])
        assert len(lines) == 2 and "NAME" in shown and is_in_order(shown, TOP), (width, lines)
        assert shown == ["NAME"] or all(len(line) <= width for line in lines), (width, lines)
        assert len(shown) >= before
        before = len(shown)
    assert heads(on_terminal(10000, "ls")[0]) == LS and before == len(TOP)
    assert heads(on_terminal(40, "top", "-1", name)[0]) != ["NAME"]

    # What is no terminal gets all, and who asks gets what they ask for.
    assert heads(run("ls").stdout.splitlines()[0]) == LS
    assert heads(run("top", "-1", name).stdout.splitlines()[0]) == TOP
    lines = run("ls", "-o", "held-by,name").stdout.splitlines()
    assert heads(lines[0]) == ["HELD BY", "NAME"] and any(line.endswith("  " + name) for line in lines)
    lines = on_terminal(20, "top", "-1", "--columns", "working-set,written/s,state,name", name)
    assert heads(lines[0]) == ["WORKING SET", "WRITTEN/s", "STATE", "NAME"]
    for wrong in ("colour", "", "name,", "NAME", "name,,size"):
        for verb in (["ls"], ["top", "-1"]):
            assert "there is no column" in run(*verb, "-o", wrong, code=2).stderr
    assert "--json" in run("ls", "--json", "-o", "name", code=2).stderr
    assert "--json" in run("top", "-j", "-n", "1", "-o", "name", code=2).stderr
    assert "more than 16" in run("ls", "-o", ",".join(["name"] * 17), code=2).stderr


def main():
    name = f"t{os.getpid()}"
    with subprocess.Popen([VAS, "create", "--name", name, "--memory", "1M"], stdout=subprocess.PIPE) as owner:
        try:
            owner.stdout.readline()
            check(name)
        finally:
            owner.terminate()


main()
