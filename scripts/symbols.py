#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The public symbols, from three sides that must agree: headers, symbol maps, libraries.

usage: symbols.py headers HEADER...    what the headers declare with VAS_API or VAS_INLINE
       symbols.py map FILE             what a symbol map lists, by name
       symbols.py shared FILE          what a shared library exports
       symbols.py static FILE          what a static library defines for others

One name a line, sorted.
"""
import re
import subprocess
import sys

DECLARED = re.compile(r'__attribute__\(\(visibility\("default"\)\)\)\s+'
                      r'([^;{(]*?)\b(vas_\w+)\s*[(\[;]')


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def of_headers(headers):
    """The preprocessor first: the functions for fields are made by macros."""
    names = set()
    for header in headers:
        mark = f'# 1 "{header}"'
        text = run('cc', '-E', '-DVAS_INLINE=VAS_API', '-Iinclude', header)
        names |= {name for _, name in DECLARED.findall(only(header, text))}
        assert mark in text, mark
    return names


def only(header, text):
    """The lines that come from the header itself, not from those that it includes."""
    here, out = False, []
    for line in text.split('\n'):
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            here = marker.group(1) == header
        elif here:
            out.append(line)
    return '\n'.join(out)


def of_map(path):
    with open(path, encoding='utf-8') as file:
        text = re.sub(r'/\*.*?\*/', '', file.read(), flags=re.S)
    names = re.findall(r'^\t\t(\S+);$', text.split('local:')[0], re.M)
    wild = [name for name in names if not re.fullmatch(r'\w+', name)]
    if wild or len(set(names)) < len(names):
        sys.exit(f'{path}: a wildcard, or a name that is there twice: {wild}')
    return set(names)


def of_nm(text):
    """Defined symbols, without the versions themselves (A)."""
    return {fields[-1].split('@')[0] for fields in map(str.split, text.split('\n'))
            if len(fields) == 3 and fields[1] != 'A'}


def main(kind, *files):
    names = {'headers': lambda: of_headers(files), 'map': lambda: of_map(files[0]),
             'shared': lambda: of_nm(run('nm', '-D', '--defined-only', files[0])),
             'static': lambda: of_nm(run('nm', '-g', '--defined-only', files[0]))}[kind]()
    print('\n'.join(sorted(names)))


main(*sys.argv[1:])
