#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""vas hold under a service manager that is this test: what it is told, what it keeps, and that the
memory is there after the holder was ended, killed, and started again."""

import json
import os
import signal
import socket
import subprocess
import tempfile

VAS = os.environ["VAS"]
PATIENCE = 300  # seconds; a limit for what hangs


class Manager:
    """As much of a service manager as sd_notify(3) and sd_listen_fds(3) tell of."""

    def __init__(self, folder, abstract=False):
        self.path = f"@vas-test-{os.getpid()}" if abstract else folder + "/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path.replace("@", "\0", 1))
        self.socket.settimeout(PATIENCE)
        self.store = {}
        self.holder = None

    def start(self, *options, pid=None, names=None):
        """Starts vas hold with what is kept."""
        kept = list(self.store.values())
        # The fds go to 3 and following, in a child that knows its own pid.
        script = "import os, sys\n"
        script += "kept = [int(n) for n in sys.argv[2].split()]\n"
        script += "high = [os.dup(n) for n in [os.dup2(n, 100 + i) for i, n in enumerate(kept)]]\n"
        script += "for i in range(len(kept)): os.dup2(100 + i, 3 + i)\n"
        script += "os.environ['LISTEN_PID'] = sys.argv[1] or str(os.getpid())\n"
        script += "os.execv(sys.argv[3], sys.argv[3:])\n"
        environment = dict(os.environ, NOTIFY_SOCKET=self.path, LISTEN_FDS=str(len(kept)),
                           LISTEN_FDNAMES=names or ":".join(self.store))
        self.holder = subprocess.Popen(
            ["python3", "-c", script, str(pid or ""), " ".join(map(str, kept)), VAS, "hold", *options],
            env=environment, pass_fds=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def told(self):
        """The next message, as a dictionary; what is to be kept is."""
        text, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
        message = dict(line.split("=", 1) for line in text.decode().splitlines())
        assert len(fds) == (1 if message.get("FDSTORE") == "1" else 0), (message, fds)
        if fds:
            self.store[message["FDNAME"]] = fds[0]
        if message.get("FDSTOREREMOVE") == "1":
            os.close(self.store.pop(message["FDNAME"]))
        return message

    def is_told_nothing_more(self):
        self.socket.setblocking(False)
        try:
            raise AssertionError(self.socket.recv(4096))
        except BlockingIOError:
            self.socket.settimeout(PATIENCE)

    def end(self, number=signal.SIGTERM):
        self.holder.send_signal(number)
        self.holder.communicate(timeout=PATIENCE)
        return self.holder.returncode


def vas(*arguments, code=0):
    done = subprocess.run([VAS, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == code, (arguments, done)
    return done.stdout


def owner(name):
    return json.loads(vas("info", name, "--json"))["owner_pid"]


def memory_survives(manager, name):
    manager.start("--name", name, "--memory", "16M")
    assert manager.told() == {"FDSTORE": "1", "FDNAME": "vas", "FDPOLL": "0"}
    assert manager.told() == {"READY": "1"}
    assert owner(name) == manager.holder.pid
    vas("write", name, "0x1234", "--string", "still here")

    assert manager.end() == 0
    assert owner(name) is None and vas("read", name, "0x1234", "10", "--raw") == "still here"
    # Whatever the options say by now.
    manager.start("--name", "another", "--memory", "1M")
    assert manager.told() == {"READY": "1"}
    assert owner(name) == manager.holder.pid
    assert vas("read", name, "0x1234", "10", "--raw") == "still here"

    assert manager.end(signal.SIGKILL) == -signal.SIGKILL
    assert vas("read", name, "0x1234", "10", "--raw") == "still here"
    manager.start("--memory", "1M")
    assert manager.told() == {"READY": "1"}
    # It is lent, as any that is held.
    vas("snapshot", name, os.path.join(tempfile.gettempdir(), name))
    os.unlink(os.path.join(tempfile.gettempdir(), name))
    assert owner(name) == manager.holder.pid
    manager.is_told_nothing_more()


def who_is_in_the_way_is_named(manager):
    """The one that holds it lives: a second waits, and gives up."""
    first = manager.holder
    manager.start("--memory", "1M")
    _, said = manager.holder.communicate(timeout=PATIENCE)
    assert manager.holder.returncode == 3 and "the service manager has kept" in said, said
    manager.holder = first


def what_was_sent_away_is_kept_no_longer(manager, name, folder):
    path = folder + "/stream"
    receiver = subprocess.Popen([VAS, "receive", "unix:" + path], stdout=subprocess.PIPE, text=True)
    try:
        while not os.path.exists(path):
            assert receiver.poll() is None
        vas("send", name, "unix:" + path)
        assert manager.told() == {"FDSTOREREMOVE": "1", "FDNAME": "vas"}
        manager.holder.communicate(timeout=PATIENCE)
        assert manager.holder.returncode == 0
        assert receiver.stdout.readline().strip()
        assert vas("read", name, "0x1234", "10", "--raw") == "still here"
    finally:
        receiver.terminate()
        receiver.communicate(timeout=PATIENCE)


def what_is_meant_for_others_is_left_alone(manager, name):
    junk = os.memfd_create("junk")
    manager.store = {"vas": junk}
    manager.start("--name", name, "--memory", "1M", pid=1)
    assert manager.told()["FDSTORE"] == "1"
    assert manager.told() == {"READY": "1"}
    assert manager.end() == 0
    manager.store = {"other": junk}
    manager.start("--name", name, "--memory", "1M")
    assert manager.told()["FDSTORE"] == "1"
    assert manager.told() == {"READY": "1"}
    assert manager.end() == 0
    manager.store = {"vas": junk}
    manager.start("--memory", "1M")
    _, said = manager.holder.communicate(timeout=PATIENCE)
    assert manager.holder.returncode == 3 and "the service manager has kept" in said, said
    manager.is_told_nothing_more()


def without_a_manager_it_is_create(name):
    environment = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
    holder = subprocess.Popen([VAS, "hold", "--name", name, "--memory", "1M"], env=environment,
                              stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline().startswith(f"{holder.pid}/")
    observer = os.open(f"/proc/{holder.pid}/fd/" + vas_fd(holder.pid), os.O_RDONLY)
    holder.terminate()
    holder.communicate(timeout=PATIENCE)
    assert holder.returncode == 0
    # It was destroyed: who has it open sees no region any more.
    done = subprocess.run([VAS, "info", f"fd:{observer}", "--json"], pass_fds=[observer],
                          capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["regions"] == []


def vas_fd(pid):
    listed = json.loads(vas("ls", "--json"))
    return next(str(one["fd"]) for one in listed if one["pid"] == pid)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VAS_RUN_DIR"] = folder + "/run"
        name = f"vas-test-{os.getpid()}"
        manager = Manager(folder)
        try:
            memory_survives(manager, name)
            who_is_in_the_way_is_named(manager)
            what_was_sent_away_is_kept_no_longer(manager, name, folder)
            manager = Manager(folder, abstract=True)
            what_is_meant_for_others_is_left_alone(manager, name)
            without_a_manager_it_is_create(name)
        finally:
            if manager.holder and manager.holder.poll() is None:
                manager.end(signal.SIGKILL)


main()
