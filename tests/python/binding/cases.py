# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Cases of the Python module, as the other tests tell of them: TAP. A case is a function."""

import contextlib
import errno
import sys
import threading
import time
import traceback

import vas

MIB = 1 << 20
PAGE = vas.PAGE_SIZE
RAM_SIZE = 16 * MIB
LIMIT = 64 * MIB

CASES = []


class Skip(Exception):
    """Why a case cannot be tried here."""


def case(function):
    CASES.append(function)
    return function


@contextlib.contextmanager
def raises(kind, *words, code=None):
    """The block raises this: with this errno, and these words in its text."""
    caught = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
        for word in words:
            assert word in str(error), (word, str(error))
        if code is not None:
            assert error.errno == code, (errno.errorcode.get(error.errno), str(error))
        return
    raise AssertionError(f"nothing raised {kind}")


def fails(code, *words):
    return raises(vas.Error, *words, code=code)


@contextlib.contextmanager
def a_vas(**options):
    """A vas with 16 MiB of RAM at 0, and its owner."""
    owner = vas.create(LIMIT, name="case", **options)
    try:
        owner.region_add(0, RAM_SIZE, "ram")
        yield owner
    finally:
        owner.destroy()


@contextlib.contextmanager
def two():
    """An owner and a binder."""
    with a_vas() as owner, vas.bind(owner) as binder:
        yield owner, binder


def in_thread(function):
    """What it returns, or raises, in a thread of its own."""
    results = []

    def body():
        try:
            results.append(function())
        except BaseException as error:  # pylint: disable=broad-except
            results.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def until(condition):
    """Wait until something is so that nobody tells of."""
    while not condition():
        time.sleep(0.001)


def run(function):
    try:
        function()
    except Skip as why:
        return f" # SKIP {why}"
    except BaseException:  # pylint: disable=broad-except
        for line in traceback.format_exc().splitlines():
            print(f"# {line}")
        return None
    return ""


def main():
    failed = False
    print(f"1..{len(CASES)}")
    for number, function in enumerate(CASES, 1):
        result = run(function)
        failed |= result is None
        print(f"{'not ' if result is None else ''}ok {number} - {function.__name__}{result or ''}",
              flush=True)
    sys.exit(failed)
