#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""'vas top' on a pseudo terminal: shows names as text, obeys keys, and leaves the terminal as it was."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

VAS = os.environ.get('VAS', 'vas')
DEADLINE = 300
LINES, COLUMNS = 24, 160
NAMES = ('-small', '-large', '-\x1b[2J\x1b]0;x\x07')


class Terminal:
    """A screen of characters: what the escape sequences of TERM=linux that curses uses here draw."""

    def __init__(self):
        self.cells = [[' '] * COLUMNS for _ in range(LINES)]
        self.y = self.x = 0
        self.raw = b''
        self.pending = ''

    def text(self):
        return '\n'.join(''.join(row).rstrip() for row in self.cells)

    def put(self, char):
        if self.x < COLUMNS and self.y < LINES:
            self.cells[self.y][self.x] = char
        self.x += 1

    def control(self, params, final):
        numbers = [int(n) if n else 0 for n in params.split(';')] if params and params[0] != '?' else [0]
        if final == 'H':
            self.y = max(numbers[0], 1) - 1
            self.x = max(numbers[1] if len(numbers) > 1 else 1, 1) - 1
        elif final == 'd':
            self.y = max(numbers[0], 1) - 1
        elif final == 'G':
            self.x = max(numbers[0], 1) - 1
        elif final == 'C':
            self.x += max(numbers[0], 1)
        elif final == 'J':
            for y in range(self.y if numbers[0] == 0 else 0, LINES):
                start = self.x if y == self.y and numbers[0] == 0 else 0
                self.cells[y][start:] = [' '] * (COLUMNS - start)
        elif final == 'K':
            self.cells[self.y][self.x:] = [' '] * (COLUMNS - self.x)
        elif final == 'X':
            for x in range(self.x, min(self.x + max(numbers[0], 1), COLUMNS)):
                self.cells[self.y][x] = ' '
        elif final == 'P':
            row = self.cells[self.y]
            n = max(numbers[0], 1)
            row[self.x:] = (row[self.x + n:] + [' '] * n)[:COLUMNS - self.x]
        elif final == '@':
            row = self.cells[self.y]
            row[self.x:] = ([' '] * max(numbers[0], 1) + row[self.x:])[:COLUMNS - self.x]
        elif final == 'L':
            for _ in range(max(numbers[0], 1)):
                self.cells.insert(self.y, [' '] * COLUMNS)
                self.cells.pop()
        elif final == 'M':
            for _ in range(max(numbers[0], 1)):
                self.cells.pop(self.y)
                self.cells.append([' '] * COLUMNS)

    def feed(self, data):
        self.raw += data
        self.pending += data.decode('utf-8', 'replace')
        while self.pending:
            match = re.match(r'\x1b\[([0-9;?]*)([A-Za-z@])|\x1b[()][A-Z0-9]|\x1b[=>78cM]', self.pending)
            if match:
                if match.group(2):
                    self.control(match.group(1), match.group(2))
                self.pending = self.pending[match.end():]
            elif self.pending[0] == '\x1b':
                if len(self.pending) > 20:
                    sys.exit('an escape sequence that this test does not know: %r' % self.pending[:20])
                return
            else:
                char, self.pending = self.pending[0], self.pending[1:]
                if char == '\n':
                    self.y += 1
                elif char == '\r':
                    self.x = 0
                elif char == '\b':
                    self.x = max(self.x - 1, 0)
                elif char >= ' ':
                    self.put(char)


def read_some(fd, terminal):
    ready, _, _ = select.select([fd], [], [], 0.1)
    if not ready:
        return True
    try:
        data = os.read(fd, 65536)
    except OSError:
        return False
    terminal.feed(data)
    return bool(data)


def wait_for(fd, terminal, what, condition):
    deadline = time.monotonic() + DEADLINE
    while not condition(terminal.text()):
        if time.monotonic() > deadline or not read_some(fd, terminal):
            sys.exit('never seen: %s; the screen is\n%s' % (what, terminal.text()))


def start_top(*options):
    pid, fd = pty.fork()
    if not pid:
        os.environ.update(TERM='linux', LC_ALL='C.UTF-8')
        os.execv(VAS, [VAS, 'top', *options])
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', LINES, COLUMNS, 0, 0))
    os.kill(pid, signal.SIGWINCH)
    return pid, fd


def end_of(pid, fd, terminal):
    deadline = time.monotonic() + DEADLINE
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            sys.exit('it does not end; the screen is\n' + terminal.text())
        read_some(fd, terminal)
    while read_some(fd, terminal) and select.select([fd], [], [], 0)[0]:
        pass
    return os.waitstatus_to_exitcode(status)


def create(name, size):
    process = subprocess.Popen([VAS, 'create', '--name', name, '--memory', size], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def order(text, first, second):
    return first in text and second in text and text.index(first) < text.index(second)


def check_keys(prefix):
    pid, fd = start_top('--delay', '1', *[prefix + name for name in NAMES])
    terminal = Terminal()
    small, large = prefix + '-small', prefix + '-large'
    wait_for(fd, terminal, 'both by resident', lambda t: order(t, small, large) and 'by resident' in t)
    for wanted in ('by dirty', 'by working-set', 'by size'):
        os.write(fd, b's')
        wait_for(fd, terminal, wanted, lambda t, w=wanted: w in t)
    wait_for(fd, terminal, 'the larger first', lambda t: order(t, large, small))
    os.write(fd, b'r')
    wait_for(fd, terminal, 'the smaller first', lambda t: order(t, small, large))
    # Tracked from here on: then there is a number of bytes written.
    os.write(fd, b't')
    wait_for(fd, terminal, 'nothing written', lambda t: re.search(re.escape(small) + r'.* 0 B +0 B .*tracked', t))
    # The name is text: its escape sequence has become question marks.
    wait_for(fd, terminal, 'the hostile name', lambda t: prefix + '-?[2J?]0;x?' in t)
    os.write(fd, b'q')
    code = end_of(pid, fd, terminal)
    assert code == 0, code
    assert b']0;x' not in terminal.raw.replace(b'?]0;x?', b''), 'a name reached the terminal'
    assert b'\x1b[?25h' in terminal.raw, 'the cursor stays hidden'


def check_signal():
    pid, fd = start_top()
    terminal = Terminal()
    wait_for(fd, terminal, 'the screen', lambda t: 'q quit' in t)
    os.kill(pid, signal.SIGTERM)
    code = end_of(pid, fd, terminal)
    assert code == 0, code
    assert b'\x1b[?25h' in terminal.raw, 'the cursor stays hidden'


def main():
    if 'without ncurses' in subprocess.run([VAS, 'top'], stdin=pty.openpty()[1], stdout=pty.openpty()[1],
                                           stderr=subprocess.PIPE, text=True, timeout=DEADLINE,
                                           env=dict(os.environ, TERM='unknown')).stderr:
        print('skip: built without ncurses')
        return 77
    prefix = 'vas-top-%d' % os.getpid()
    processes = []
    try:
        for name, size in zip(NAMES, ('16M', '64M', '1M')):
            processes.append(create(prefix + name, size))
        subprocess.run([VAS, 'fill', prefix + '-small', '0', '4M', '1'], check=True)
        check_keys(prefix)
        check_signal()
    finally:
        for process in processes:
            process.terminate()
            process.wait()
    return 0


sys.exit(main())
