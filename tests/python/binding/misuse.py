# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Calls with arguments that make no sense, in an order that makes none, from threads at once.

misuse.py [SEED]: nothing may crash or hang, and only Python's and vas's errors may come.
"""

import os
import random
import sys
import tempfile
import threading

import vas
from cases import LIMIT, PAGE, RAM_SIZE, case, main

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else int.from_bytes(os.urandom(4), "little")
ALLOWED = (vas.Error, ValueError, TypeError, OverflowError, BufferError, MemoryError, RuntimeError,
           StopIteration)
# Whose argument is a timeout; what ends the vas, to be tried now and then; what takes a second when
# somebody is in the way (a Layout does the same), or needs a peer.
WAITS = {"wait", "wait_thawed", "lazy_wait", "freeze", "layout"}
SELDOM = {"close", "destroy", "ram_seal", "remove", "abort", "adopt", "track", "snapshot",
          "__exit__"}
NOT_TRIED = {"readonly_fd", "send_fds", "region_add", "region_remove", "region_resize",
             "region_move"}

# Arguments with which a call works, mostly.
GOOD = {
    "read": (PAGE - 1, 8), "peek": (0, PAGE), "readinto": (5, bytearray(64)), "write": (7, b"bytes"),
    "fill": (PAGE, 5, PAGE), "mark": (0, 1), "readv": ([(0, 8), (PAGE, 8)],),
    "writev": ([(0, 8), (PAGE, 8)], [b"1234", b"5678"]), "search": (b"bytes",),
    "compare": (0, b"bytes"), "map": (PAGE, PAGE), "discard": (0, PAGE), "region_at": (0,),
    "region_by_id": (1,), "backing_create": (PAGE, "file"), "backing_fd": (0,),
    "backing_remove": (1,), "event": (1,), "event_add": ("irq", 2), "load": (8, 64),
    "store": (8, 5, 16), "fetch_add": (8, 5, 16), "fetch_or": (8, 5, 8), "fetch_and": (8, 5, 32),
    "exchange": (8, 5, 32), "cmpxchg": (8, 5, 6, 64), "add": (32 << 20, PAGE, "more"),
    "resize": (1, PAGE), "move": (1, 48 << 20), "create": (LIMIT,),
}


class Fuzzer:
    def __init__(self, seed, path, objects, alone):
        self.random = random.Random(seed)
        self.alone = alone
        self.path = path
        self.objects = objects

    def argument(self):
        pick = self.random.choice
        number = pick([0, 1, 2, 7, 8, 16, 32, 64, PAGE, PAGE - 1, RAM_SIZE, RAM_SIZE - 1, LIMIT,
                       1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, -1])
        return pick([number, number, number, number, pick(self.objects), b"", b"bytes",
                     bytearray(5), bytearray(PAGE), "text", "x" * 30, "irq", "doorbell", 0.01,
                     float("nan"), None, True, (0, 1), [(0, 8), (PAGE, 8)], [bytearray(3)],
                     [b"y"], self.path, object()])

    def arguments(self, name):
        if name in WAITS:
            return [0.01]
        if self.random.random() < 0.3:
            return [self.argument() for _ in range(self.random.randrange(5))]
        arguments = list(GOOD.get(name, ()))
        if arguments and self.random.random() < 0.3:
            arguments[self.random.randrange(len(arguments))] = self.argument()
        return arguments

    def call(self, target, name):
        arguments = self.arguments(name)
        result = getattr(target, name)
        if callable(result):
            result = result(*arguments)
        if type(result).__module__ == "vas" and not isinstance(result, tuple):
            self.objects[self.random.randrange(len(self.objects))] = result
        elif self.random.random() < 0.2 and isinstance(target, vas.Mapping):
            self.objects[self.random.randrange(len(self.objects))] = memoryview(target)

    def names(self, target):
        names = [name for name in dir(target) if not name.startswith("_")]
        names += [name for name in ("__enter__", "__exit__", "__next__", "__len__", "__repr__")
                  if hasattr(target, name)]
        return [name for name in names if name not in NOT_TRIED]

    def step(self):
        target = self.random.choice([vas, *self.objects])
        if isinstance(target, memoryview):
            target = self.random.choice(self.objects)
        name = self.random.choice(self.names(target))
        if self.random.random() < 0.01:
            self.objects[:] = objects()
        if name in SELDOM and self.random.random() < 0.9:
            return
        if target is vas and name not in ("create", "bind", "observe", "restore", "clone"):
            return
        try:
            if isinstance(target, vas.Layout) and name == "__enter__" and not self.alone:
                self.transaction(target)
            else:
                self.call(target, name)
        except ALLOWED:
            pass

    def transaction(self, layout):
        """Others wait for it: begun and ended in one step."""
        with layout:
            for name in self.random.choices(("add", "remove", "resize", "move", "commit"), k=3):
                self.call(layout, name)


def objects():
    owner = vas.create(LIMIT, name="misused")
    owner.region_add(0, RAM_SIZE, "ram")
    return [owner, vas.bind(owner), vas.observe(owner), owner.map(0, PAGE, write=True),
            owner.section(), owner.layout(timeout=0.01), owner.event_add("doorbell", 1),
            owner.track(), owner.layout(timeout=0.01), owner.section()]


def fuzz(seed, nr_threads, steps):
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        shared, errors = objects(), []

        def body(number):
            try:
                fuzzer = Fuzzer(seed + number, os.path.join(folder, "snapshot"), shared,
                                nr_threads == 1)
                for _ in range(steps):
                    fuzzer.step()
            except BaseException as error:  # pylint: disable=broad-except
                errors.append(error)
                raise

        threads = [threading.Thread(target=body, args=(n,)) for n in range(nr_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors


@case
def calls_at_random_in_one_thread():
    for turn in range(5):
        fuzz(SEED + turn, 1, 1000)


@case
def calls_at_random_in_three_threads():
    for turn in range(5):
        fuzz(SEED + 10 * turn, 3, 500)


@case
def handles_are_closed_under_the_feet_of_threads():
    owner = vas.create(LIMIT)
    owner.region_add(0, RAM_SIZE, "ram")
    for _ in range(30):
        binder, failures = vas.bind(owner), []

        def body(handle, failures):
            try:
                while True:
                    handle.write(0, bytes(PAGE * 4))
                    handle.read(0, 8)
                    with handle.section() as section:
                        section.load(0, 8)
                    handle.map(0, PAGE).close()
            except ValueError:
                pass
            except BaseException as error:  # pylint: disable=broad-except
                failures.append(error)

        threads = [threading.Thread(target=body, args=(binder, failures)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while not binder.closed:
            try:
                binder.close()
            except vas.Error:
                pass  # a section is open: again
        for thread in threads:
            thread.join()
        assert not failures, failures
    owner.destroy()


print(f"# seed {SEED}")
main()
