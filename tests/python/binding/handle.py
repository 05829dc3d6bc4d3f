# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Handles: create, bind, observe, adopt, close; what they say; fds; notification."""

import errno
import os
import select
import socket
import subprocess
import sys
import uuid

import vas
from cases import LIMIT, PAGE, RAM_SIZE, a_vas, case, fails, main, raises, two


@case
def what_is_created_has_an_owner_and_facts():
    with vas.create(LIMIT, name="a name", max_regions=100) as owner:
        info = owner.info()
        assert (info.name, info.limit, info.role) == ("a name", LIMIT, "owner"), info
        assert info.owner_pid == os.getpid() and info.nr_regions == 0 and info.nr_binders == 1
        assert uuid.UUID(bytes=info.uuid).version == 4
        assert "a name" in repr(owner)


@case
def a_binder_has_the_same_memory():
    with two() as (owner, binder):
        owner.write(0x1ffd, b"across pages")
        assert binder.read(0x1ffd, 12) == b"across pages"
        assert binder.info().role == "binder" and owner.info().nr_binders == 2


@case
def an_observer_only_reads():
    with a_vas() as owner:
        owner.write(0, b"seen")
        fd = owner.readonly_fd()
        for observer in (vas.observe(owner), vas.bind(fd), vas.bind(owner, vas.BIND_OBSERVE)):
            with observer:
                assert observer.info().role == "observer"
                assert observer.read(0, 4) == b"seen"
                with fails(errno.EACCES):
                    observer.write(0, b"x")
                with fails(errno.EACCES), owner.track():
                    observer.mark(0, 1)
        os.close(fd)


@case
def an_option_that_is_wrong_is_named():
    with fails(errno.EINVAL, "limit"):
        vas.create(1)
    with fails(errno.EINVAL, "flags"):
        vas.create(LIMIT, flags=1 << 31)
    with fails(errno.EPERM):
        read, write = os.pipe()
        try:
            vas.bind(read)
        finally:
            os.close(read)
            os.close(write)


@case
def a_closed_handle_raises_value_error():
    with a_vas() as owner:
        binder = vas.bind(owner)
        section, event = binder.section(), owner.event_add("irq", 1)
        assert not binder.closed
        with binder:
            pass
        assert binder.closed and "closed" in repr(binder)
        binder.close()
        for call in (lambda: binder.read(0, 1), lambda: binder.write(0, b"x"), binder.info,
                     binder.section, binder.fileno, lambda: binder.map(0, 1), binder.layout,
                     binder.track, lambda: binder.search(b"x"), binder.notifications,
                     binder.freeze, binder.adopt, binder.__enter__, section.__enter__,
                     lambda: binder.generation):
            with raises(ValueError):
                call()
    with raises(ValueError):
        event.wait(0)


@case
def who_is_no_owner_changes_nothing():
    with two() as (_owner, binder):
        with fails(errno.EPERM):
            binder.region_add(32 << 20, PAGE)
        with fails(errno.EPERM):
            binder.freeze()
        with fails(errno.EBUSY):
            binder.adopt()


@case
def a_binder_adopts_what_its_owner_has_left():
    owner = vas.create(LIMIT)
    owner.region_add(0, RAM_SIZE, "ram")
    owner.write(5, b"kept")
    with vas.bind(owner) as binder:
        owner.close()
        assert binder.info().owner_pid == 0
        binder.adopt()
        assert binder.info().role == "owner" and binder.info().owner_epoch == 1
        binder.region_add(32 << 20, PAGE, "more")
        assert binder.read(5, 4) == b"kept"


@case
def what_is_destroyed_has_no_regions():
    owner = vas.create(LIMIT)
    owner.region_add(0, RAM_SIZE, "ram")
    with vas.bind(owner) as binder:
        owner.destroy()
        assert owner.closed and binder.regions() == []
        with fails(errno.EFAULT) as caught:
            binder.read(0, 4)
        assert caught[0].done == 0 and caught[0].blocker is None


@case
def fds_travel_to_another_process():
    here, there = socket.socketpair()
    program = ("import socket, sys, vas\n"
               "sock = socket.socket(fileno=int(sys.argv[1]))\n"
               "with vas.recv_fds(sock) as binder:\n"
               "    binder.write(0x4000, b'from there')\n")
    with a_vas() as owner, here, there:
        owner.send_fds(here)
        subprocess.run([sys.executable, "-c", program, str(there.fileno())], check=True,
                       pass_fds=[there.fileno()])
        assert owner.read(0x4000, 10) == b"from there"


@case
def a_change_is_notified():
    with two() as (owner, binder):
        fd = binder.notify_fd()
        binder.notifications()
        owner.region_add(32 << 20, PAGE)
        assert select.select([fd], [], [])[0] == [fd]
        assert binder.notifications() & vas.NOTIFY_LAYOUT
        generation = binder.generation
        owner.freeze()
        assert select.select([fd], [], [])[0] == [fd]
        assert binder.notifications() & vas.NOTIFY_FREEZE
        assert binder.generation > generation
        owner.thaw()


@case
def a_child_has_a_handle_of_its_own():
    with a_vas() as owner:
        owner.write(0, b"parent")
        mapping, section = owner.map(0, PAGE), owner.section()
        tracker, change = owner.track(), owner.layout()
        with change, section:
            pid = os.fork()
            if not pid:
                status = 1
                try:
                    assert owner.read(0, 6) == b"parent"
                    owner.write(0x1000, b"child")
                    with raises(ValueError):
                        section.load(0, 8)
                    with fails(errno.EPERM):
                        owner.region_add(32 << 20, PAGE)
                    assert bytes(mapping)[:6] == b"parent"
                    del tracker, change
                    owner.close()
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(pid, 0)[1] == 0
        assert owner.read(0x1000, 5) == b"child"
        tracker.close()
        mapping.close()


main()
