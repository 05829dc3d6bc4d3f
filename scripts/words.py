#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Which identifiers have a word in them that only we would understand.

usage: words.py [FILE...]    C files; default: all that the check is about

Identifiers are split at underscores and compared with words.txt: comments and strings are not
looked at. In what becomes part of a kernel, whole names are compared with those of the other "vas"
of Linux, too. Prints a sentence for each, and fails if there is one.
"""
import os
import re
import subprocess
import sys

FOLDERS = ('include', 'core', 'lib', 'consumer', 'device', 'kernel', 'migrate', 'qemu', 'cli')
KERNEL = ('include/linux', 'include/uapi', 'kernel')

# POWER's Virtual Accelerator Switchboard: docs/design/kernel.md.
POWER = re.compile(
    r'vas_(window|windows|window_\w+|instance|winctx|(rx|tx|win|user_win|cop|coproc|caps|all_caps)(_\w+)?'
    r'|copy_crb|paste_crb|init_(rx|tx)_win_attr|(un)?register_(api_\w+|coproc_api))')

NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|^[ \t]*#[ \t]*include[^\n]*', re.S | re.M)


def read_words(path):
    words, allowed = {}, set()
    for line in open(path):
        if line.startswith('!'):
            allowed.add(line[1:].strip())
        elif line.strip() and not line.startswith('#'):
            old, new, *folder = line.split()
            words[old] = (new.replace('|', ' or '), folder[0] if folder else '')
    return words, allowed


def identifiers(path):
    """Each identifier of the file once, with the first line that it is on."""
    code = NOT_CODE.sub(lambda m: '\n' * m[0].count('\n'), open(path).read())
    found = {}
    for nr, line in enumerate(code.split('\n'), 1):
        for name in re.findall(r'[A-Za-z_]\w*', line):
            found.setdefault(name, nr)
    return found


def complaints(path, name, words):
    for part in name.lower().split('_'):
        new, folder = words.get(part, ('', ''))
        if new and path.startswith(folder):
            yield f'"{name}": "{part}" is a private word, say {new}'
    if path.startswith(KERNEL) and POWER.fullmatch(name):
        yield f'"{name}" is a name of POWER\'s Virtual Accelerator Switchboard'


def main():
    root = os.path.join(os.path.dirname(__file__), '..')
    words, allowed = read_words(os.path.join(root, 'scripts/words.txt'))
    files = sys.argv[1:] or subprocess.run(
        ['git', 'ls-files'] + [f'{f}/*.[ch]' for f in FOLDERS],
        check=True, capture_output=True, text=True).stdout.split()
    failed = False
    for path in files:
        for name, nr in identifiers(path).items():
            if name in allowed:
                continue
            for complaint in complaints(path, name, words):
                print(f'{path}:{nr}: {complaint}')
                failed = True
    sys.exit(failed)


main()
