#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Section 3 of the manual, made of the public headers: what a header says of a function is its page.

usage: functions.py VERSION OUTDIR HEADER...     write OUTDIR/NAME.3 for every public function
       functions.py --list HEADER...             print their names; fail if one has no description

A comment describes the declarations that follow it, up to the next comment that stands before a
function. Types and macros between them go into the SYNOPSIS of the function after them.
"""
import os
import re
import sys

FUNCTION = re.compile(r'(?:VAS_API|VAS_INLINE)\s[^;{=#]*?\b(vas_\w+)\s*\([^;{]*\)', re.S)
PRIVATE = re.compile(r'^vas_field$')  # called by inlined code only, as all of inline.h is
TOKEN = re.compile(r'/\*.*?\*/|#define(?:[^\n\\]|\\\n)*\\?[^\n]*|(?:struct|enum|union)\s+\w+\s*\{.*?\n\};'
                   r'|(?:VAS_API|VAS_INLINE)\b[^;{]*(?:;|\{)', re.S)


def prose(comment):
    lines = [re.sub(r'^\s*/?\*+/?[ ]?', '', line) for line in comment.rstrip('*/ ').split('\n')]
    return '\n'.join(lines).strip('\n ')


class Page:
    def __init__(self, header, text):
        self.header, self.text, self.names, self.types, self.declarations = header, text, [], [], []


def skip_body(source, at):
    depth = 1
    while depth:
        depth += {'{': 1, '}': -1}.get(source[at], 0)
        at += 1
    return at


def tokens(source):
    at = 0
    while match := TOKEN.search(source, at):
        at = match.end()
        text = match.group()
        if text.endswith('{') and not text.startswith('#'):
            at = skip_body(source, at)
        yield text, match.start()


def field_forms(source):
    """The single-field accessors are declared by a macro: the comment above it names the forms."""
    return sorted(set(re.findall(r'int (vas_(?:load|store|fetch_or|cmpxchg)_le16)\(', source)))


def parse(path):
    with open(path, encoding='utf-8') as file:
        source = file.read()
    header = os.path.relpath(path, os.path.join(os.path.dirname(path), '..'))
    source = source.replace('#ifdef __cplusplus\nextern "C" {\n#endif\n', '')
    pages, page, comment, types = [], None, None, []
    about = prose(TOKEN.search(source[source.index('*/') + 2:]).group())
    for text, start in tokens(source):
        if start < source.index('#include'):
            continue
        line = source[source.rfind('\n', 0, start) + 1:start]
        if text.startswith('/*'):
            if not line.strip() and not text.startswith('/* ----'):
                comment = text
            continue
        function = FUNCTION.match(text)
        if function and function.group(1).startswith('vas_') and '(' in text:
            if not comment and types and types[0].startswith('/*'):
                # It stands before the macros that the function takes.
                comment, types[0] = types[0].split('*/', 1)
                types[0] = types[0].strip()
            if comment or not page:
                page = Page(header, prose(comment) if comment else '')
                pages.append(page)
            page.types += types
            page.names.append(function.group(1))
            page.declarations.append(re.sub(r'\s+', ' ', function.group()).replace('VAS_API ', '').replace('VAS_INLINE ', '')
                                     + ';')
            comment, types = None, []
        elif not function and not re.search(r'define (VAS_API|VAS_INLINE|VAS_\w+_H\b|VAS_DEFINE)', text) \
                and not text.startswith('VAS_API'):
            types.append(comment + '\n' + text if comment else text)
            comment = None
    fields = field_forms(source)
    if fields:
        block = next(prose(t) for t, _ in tokens(source) if t.startswith('/*') and 'vas_load_le16' in t)
        fielded = Page(header, block)
        for bits in (8, 16, 32, 64):
            fielded.names += [f'vas_{op}_le{bits}' for op in
                              ('load', 'store', 'fetch_or', 'fetch_and', 'fetch_add', 'exchange', 'cmpxchg')]
        pages = [fielded]
    for page in pages:
        page.names = [name for name in page.names if not PRIVATE.search(name)]
        page.declarations = [d for d in page.declarations
                             if not PRIVATE.search(FUNCTION.match('VAS_API ' + d).group(1))]
    return about, [page for page in pages if page.names]


def roff(text):
    text = text.replace('\\', '\\e')
    return '\n'.join('\\&' + line if line[:1] in ".'" else line for line in text.split('\n'))


def summary(text):
    first = re.split(r'(?<=[a-z0-9)])[.:;](?:\s|$)', ' '.join(text.split()), maxsplit=1)[0]
    return first[:1].lower() + first[1:] if first[1:2].islower() else first


def body(text):
    out = []
    text = re.sub(r'\n(?=-E[A-Z])', '\n\n', text)  # errors are a paragraph of their own
    for paragraph in re.split(r'\n\s*\n', text):
        if re.search(r'^\s*\t', paragraph, re.M):
            out.append('.PP\n.nf\n.RS 4\n' + roff(paragraph.expandtabs(8)) + '\n.RE\n.fi')
        else:
            paragraph = re.sub(r'\b(vas_\w+)\(\)', r'\\fB\1\\fR()', roff(paragraph).replace('\\e', '\\\\'))
            out.append('.PP\n' + paragraph)
    return '\n'.join(out)


def write(page, abouts, siblings, version, folder):
    others = [n for n in siblings if n not in page.names]
    parts = [f'.TH {page.names[0]} 3 "" "vas {version}" "libvas"',
             '.SH NAME', ', '.join(page.names) + ' \\- ' + roff(summary(page.text)),
             '.SH SYNOPSIS', '.nf', f'#include <{page.header}>', '']
    previous = ''
    for text in page.types:
        if previous and not (text.startswith('#') and previous.startswith('#')):
            parts.append('')
        parts.append(roff(text.expandtabs(8)))
        previous = text
    parts += [''] if page.types else []
    parts += ['\n'.join(roff(d) for d in page.declarations), '.fi', '.SH DESCRIPTION', body(page.text)]
    for heading, about in abouts:
        parts += ['.SH ' + heading, body(about)]
    parts += ['.SH SEE ALSO', '.BR vas (1),', '.BR vas\\-format (5)' + (',' if others else '')]
    parts += [f'.BR {name} (3)' + (',' if name != others[-1] else '') for name in others]
    with open(os.path.join(folder, page.names[0] + '.3'), 'w', encoding='utf-8') as file:
        file.write('\n'.join(parts) + '\n')
    for name in page.names[1:]:
        with open(os.path.join(folder, name + '.3'), 'w', encoding='utf-8') as file:
            file.write(f'.so man3/{page.names[0]}.3\n')


def main(arguments):
    listing = arguments[0] == '--list'
    headers = [path for path in arguments[1 if listing else 2:]
               if os.path.basename(path) != 'inline.h']
    silent = []
    conventions = [parse(path)[0] for path in headers if os.path.basename(path) == 'vas.h']
    for path in headers:
        about, pages = parse(path)
        first_names = [page.names[0] for page in pages]
        for page in pages:
            if not page.text:
                silent += page.names
            if listing:
                print('\n'.join(page.names))
            else:
                os.makedirs(arguments[1], exist_ok=True)
                write(page, [('HEADER', about)] + [('CONVENTIONS', text) for text in conventions],
                      first_names, arguments[0], arguments[1])
    if silent:
        sys.exit('no description: ' + ' '.join(silent))


main(sys.argv[1:])
