#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Proves that the arrows between folders, and between their sub-folders, run one way: layers.txt.

usage: layers.py     in the top folder; prints each violation, and fails if there is one

Twice: by what files #include, and by which symbols their objects use of which others. For that
everything in user space is compiled here, in some seconds; nothing has to be
built before. core/ is compiled as it is for the kernel, and must not use any symbol that is not its own.
"""

import collections
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)
FREESTANDING = "core"
COMPILED = ("core", "lib", "consumer", "transport", "migrate", "device", "qemu", "cli", "examples")
FLAGS = ["-std=gnu11", "-w", "-I.", "-Iinclude", "-D_GNU_SOURCE", "-DVAS_LIBRARY_VERSION=\"\"",
         "-fvisibility=hidden", "-c"]
FLAGS_OF = {FREESTANDING: ["-O2", "-ffreestanding", "-fno-builtin", "-fno-stack-protector"]}


class Layers:
    """The order of the folders, and the place of a file in it."""

    def __init__(self, text):
        self.uses = {}
        self.ranks = {}
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                self.add(*(part.strip() for part in line.split(":")))

    def add(self, folder, uses, order):
        for used in uses.split():
            if not any(used == f or used.startswith(f + "/") for f in self.uses):
                sys.exit(f"layers.txt: {folder} uses {used}, which does not stand above it")
        self.uses[folder] = uses.split()
        self.ranks[folder] = {name: rank for rank, names in enumerate(order.split("<"))
                              for name in names.split()}

    def place(self, path):
        """(folder, sub-folder) of a file, or None if no line has it."""
        for folder in self.uses:
            if path.startswith(folder + "/"):
                rest = path[len(folder) + 1:]
                sub = rest.split("/")[0] if "/" in rest else "."
                return folder, sub if self.ranks[folder] else "."
        return None

    def is_above(self, this, other):
        """Whether the line of the folder `this` comes before the other's."""
        order = list(self.uses)
        return order.index(this) < order.index(other)

    def may_use(self, user, used):
        if user[0] == used[0]:
            ranks = self.ranks[user[0]]
            return user[1] == used[1] or ranks.get(used[1], 99) < ranks.get(user[1], -1)
        return used[0] in self.uses[user[0]] or "/".join(used) in self.uses[user[0]]

    def unknown(self, path):
        """A sub-folder that has no place in the order."""
        folder, sub = self.place(path)
        return self.ranks[folder] and sub not in self.ranks[folder]


def name_of(place):
    return place[0] if place[1] == "." else "/".join(place)


def source_files(layers):
    files = [str(path) for folder in layers.uses for path in pathlib.Path(folder).rglob("*.[ch]")
             if layers.place(str(path))[0] == folder and not path.name.endswith(".mod.c")]
    return sorted(files)


# ---- includes ----------------------------------------------------------------------------------


def included_file(file, quoted, angled):
    """The file of ours that this line means, or None."""
    folders = ["include"] if angled else [os.path.dirname(file), ".", "include"]
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, quoted or angled))
        if os.path.isfile(path):
            return path
    return None


def check_includes(layers, files):
    for file in files:
        if layers.unknown(file):
            yield f"{file}: its folder is not in layers.txt"
        for quoted, angled in INCLUDE.findall(pathlib.Path(file).read_text()):
            other = included_file(file, quoted, angled)
            if not other or (place := layers.place(other)) is None:
                continue
            if not layers.may_use(layers.place(file), place):
                yield f"{file} includes {other}: {name_of(layers.place(file))} may not know {name_of(place)}"


# ---- symbols -----------------------------------------------------------------------------------


def compile_file(layers, file, objects):
    out = os.path.join(objects, file.replace("/", "@") + ".o")
    flags = FLAGS + FLAGS_OF.get(layers.place(file)[0], ["-O1"])
    subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", out, file], check=True)
    return file, subprocess.run(["nm", out], check=True, capture_output=True, text=True).stdout


def symbols(text):
    """Of nm's output: what others can use, what is used of others."""
    defined, used = set(), set()
    for line in text.splitlines():
        kind, name = line.split()[-2:]
        if kind in "Uwv":
            used.add(name)
        elif kind.isupper():
            defined.add(name)
    return defined, used


def compile_all(layers, files):
    with tempfile.TemporaryDirectory() as objects, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outputs = pool.map(lambda file: compile_file(layers, file, objects), files)
        return {file: symbols(text) for file, text in outputs}


def public_names():
    """All words in the public headers: a symbol that is not there is not public."""
    text = " ".join(path.read_text() for path in pathlib.Path("include/vas").glob("*.h"))
    return set(re.findall(r"\w+", text))


def uses_of(layers, table):
    """(user, used, symbol) for each symbol that a file has from another; used is None if nobody has it."""
    definers = {}
    for file, (defined, _) in table.items():
        for symbol in defined:
            definers.setdefault(symbol, []).append(file)
    for file, (_, used) in table.items():
        for symbol in sorted(used):
            # Programs define the same names (main): their own is meant.
            same = [d for d in definers.get(symbol, []) if layers.place(d)[0] == layers.place(file)[0]]
            yield file, (same or definers.get(symbol, [None]))[0], symbol


def check_symbols(layers, files):
    table = compile_all(layers, [f for f in files if f.endswith(".c") and f.split("/")[0] in COMPILED])
    public = public_names()
    arrows = collections.defaultdict(set)
    for user, used, symbol in uses_of(layers, table):
        here = layers.place(user)
        if used is None:
            if here[0] == FREESTANDING:
                yield f"{user} uses {symbol}, which {FREESTANDING}/ has not: it is freestanding"
            continue
        there = layers.place(used)
        arrows[name_of(here)].add(name_of(there))
        is_public = here[0] != there[0] and symbol in public and layers.is_above(there[0], here[0]) \
            and "include" in layers.uses[here[0]]
        if not is_public and not layers.may_use(here, there):
            yield f"{user} uses {symbol} of {used}: {name_of(here)} may not know {name_of(there)}"
    yield from circles(arrows)


def reachable(arrows, start):
    seen, todo = set(), [start]
    while todo:
        for other in arrows.get(todo.pop(), ()):
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen


def circles(arrows):
    """Folders that use each other, whatever layers.txt allows."""
    arrows = {user: used - {user} for user, used in arrows.items()}
    reach = {folder: reachable(arrows, folder) for folder in arrows}
    seen = set()
    for folder in sorted(arrows):
        circle = frozenset(f for f in reach[folder] if folder in reach.get(f, ()))
        if circle and circle not in seen:
            seen.add(circle)
            yield "a circle: " + ", ".join(sorted(circle))


def main():
    layers = Layers(pathlib.Path("scripts/layers.txt").read_text())
    files = source_files(layers)
    found = [*check_includes(layers, files), *check_symbols(layers, files)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
