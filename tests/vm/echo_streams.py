#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""echo_streams.py ADDRESS PORT: send back what comes, on any number of connections, for ever."""
import socket
import sys
import threading


def echo(stream):
    with stream:
        while data := stream.recv(1 << 16):
            stream.sendall(data)


listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
