#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""drgn lists the tasks of a stock Linux that runs, and of its dump; gdb and crash open the dump. What
makedumpfile makes of the dump is read as well.

usage: debuggers_see_linux.py VAS EXAMPLE

EXAMPLE is tasks.py, for drgn on live memory.
"""

import os
import shutil
import subprocess
import sys
import tempfile

from held_guest import held_guest, kernel_part
from qemu_ram import skip

LIST_TASKS = """
from drgn.helpers.linux.pid import for_each_task
for task in for_each_task(prog):
    print(task.pid.value_(), task.comm.string_().decode())
"""


def output(command, text=None):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode:
        sys.exit(f"not ok - {command[0]}: exit status {done.returncode}:\n{done.stdout}")
    return done.stdout


def check_tasks(text):
    """The guest has its init, kernel threads, and no more than a small guest has."""
    tasks = dict(line.split(" ", 1) for line in text.splitlines())
    print(f"# {len(tasks)} tasks, {tasks.get('1')} and {tasks.get('2')} among them")
    if tasks.get("1") != "init" or tasks.get("2") != "kthreadd" or not 20 < len(tasks) < 500:
        sys.exit(f"not ok - tasks: {text}")


def check_crash(symbols, core, release):
    said = output(["crash", "-s", symbols, core], "sys\nquit\n")
    if not release or not any(line.split() == ["RELEASE:", release] for line in said.splitlines()):
        sys.exit(f"not ok - crash: {said}")


def check_dump(symbols, core, release, script):
    check_tasks(output(["drgn", "-q", "-c", core, "-s", symbols, script]))
    check_crash(symbols, core, release)


def main():
    vas, example = sys.argv[1:]
    missing = [tool for tool in ("drgn", "crash", "gdb", "makedumpfile") if not shutil.which(tool)]
    if missing:
        skip(f"{', '.join(missing)}: not installed")
    symbols = kernel_part("symbols")
    os.environ["VAS"] = vas
    with held_guest(vas) as name, tempfile.TemporaryDirectory() as folder:
        core, script = folder + "/core", folder + "/tasks.py"
        with open(script, "w") as file:
            file.write(LIST_TASKS)
        # Debian's drgn is a module of Debian's Python.
        check_tasks(output(["/usr/bin/python3", example, name, symbols]))
        output([vas, "dump", name, "--format", "elf", "-o", core])
        release = output(["gdb", "-batch", "-ex", "printf \"%s\\n\", init_uts_ns.name.release",
                          symbols, core]).splitlines()[-1]
        print(f"# gdb: {release}")
        check_dump(symbols, core, release, script)
        for options in (["-c"], ["-c", "-d", "31"]):
            kdump = core + "".join(options)
            output(["makedumpfile", *options, core, kdump])
            print(f"# kdump {' '.join(options)}: {os.path.getsize(kdump) >> 20} MiB")
            check_dump(symbols, kdump, release, script)
    print("ok")


if __name__ == "__main__":
    main()
