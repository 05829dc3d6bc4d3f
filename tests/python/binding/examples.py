# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Each example of docs/python.md is run, alone, and prints what the block behind it says.

usage: examples.py PAGE
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

from cases import CASES, Skip, main

EXAMPLE = re.compile(r"^```python\n(.*?)^```\n(?:\n?^```\n(.*?)^```\n)?", re.M | re.S)


def check(code, expected):
    if "numpy" in code and subprocess.run([sys.executable, "-c", "import numpy"],
                                          capture_output=True, check=False).returncode:
        raise Skip("numpy is not installed")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True,
                              text=True, check=False)
    if "TEST_EMULATED" in os.environ and "[Errno 38]" in done.stderr:
        raise Skip("the emulator has no preadv2() with flags")
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected, done.stdout


def add(number, code, expected):
    def function():
        check(code, expected)

    function.__name__ = f"example_{number}"
    CASES.append(function)


for nr, (text, output) in enumerate(EXAMPLE.findall(pathlib.Path(sys.argv[1]).read_text())):
    add(nr, text, output)
assert len(CASES) >= 8
main()
