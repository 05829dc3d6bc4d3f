#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What Markdown pages name and is not there, and lines that are too long.

usage: pages.py [--fix] [PAGE...]    default: every page of the repository

Code is named in backticks: `file`, `file: function()`, `file: TEST-NAME`, or, in docs/design, a bare
`function()`, which may be a step of a model. Links to other pages are looked up as well. --fix
changes the file of a function that has moved, where only one other file defines it.
"""
import os
import re
import subprocess
import sys

COLUMNS = 100
NAMED = re.compile(r'`([A-Za-z0-9_/.-]+\.[a-z]+)(?:: (\w+)(\(\))?)?`')
BARE = re.compile(r'`(\w+)\(\)`')
LINK = re.compile(r'\]\(([^):#]+)\)')


def tracked(*patterns):
    out = subprocess.run(['git', 'ls-files', *patterns], check=True, capture_output=True, text=True)
    return [f for f in out.stdout.split('\n') if os.path.isfile(f)]


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


CODE = {f: read(f) for f in tracked('*.[ch]', '*.pml')}


def defines(path, name, is_function):
    text = CODE.get(path) or read(path)
    if not is_function:
        return f'TEST({name})' in text
    if path.endswith('.pml'):
        return re.search(rf'^(proctype|inline|#define) {name}\(', text, re.M)
    return re.search(rf'^(\w.*[ *])?{name} ?\(|^#define {name}\(', text, re.M)


def definers(name):
    body = re.compile(rf'^(\w.*[ *])?{name} ?\([^;{{}}]*\)\s*\{{', re.M)
    return [f for f, text in CODE.items() if body.search(text)]


def path_of(name):
    return 'model/' + name if name.endswith('.pml') and '/' not in name else name


def moved(match):
    """The same name of code, with the file that it is in now."""
    path, name, parens = match.groups()
    if not parens or '/' not in path or os.path.isfile(path) and defines(path, name, True):
        return match[0]
    found = definers(name)
    new = [f for f in found if f.split('/')[0] == path.split('/')[0]] or found
    return f'`{new[0]}: {name}()`' if len(new) == 1 else match[0]


def check_line(page, line):
    if len(line) > COLUMNS:
        yield f'{len(line)} columns, {COLUMNS} are the most'
    for path, name, parens in NAMED.findall(line):
        path = path_of(path)
        if '/' not in path:
            continue
        if not os.path.isfile(path):
            yield f'there is no {path}'
        elif name and not defines(path, name, parens):
            yield f'{path} has no {name}{parens}'
    if page.startswith('docs/design/'):
        for name in BARE.findall(line):
            if not any(re.search(rf'\b{name} ?\(', text) for text in CODE.values()):
                yield f'nothing is called {name}()'
    for link in LINK.findall(line):
        if not os.path.exists(os.path.join(os.path.dirname(page), link)):
            yield f'the link to {link} leads nowhere'


def main():
    pages = [a for a in sys.argv[1:] if a != '--fix'] or tracked('*.md')
    failed = False
    for page in pages:
        text = read(page)
        if '--fix' in sys.argv:
            text = NAMED.sub(moved, text)
            with open(page, 'w', encoding='utf-8') as file:
                file.write(text)
        for nr, line in enumerate(text.split('\n'), 1):
            for complaint in check_line(page, line):
                print(f'{page}:{nr}: {complaint}')
                failed = True
    sys.exit(failed)


main()
