# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Snapshots, restores, clones."""

import errno
import os
import pathlib
import random
import tempfile

import vas
from cases import MIB, PAGE, Skip, a_vas, case, fails, main, raises


def clone(path):
    try:
        return vas.clone(path)
    except vas.Error as error:
        if error.errno == errno.EOPNOTSUPP:
            raise Skip(str(error)) from None
        raise


@case
def a_snapshot_comes_back():
    with tempfile.TemporaryDirectory() as folder, a_vas() as owner:
        path = pathlib.Path(folder, "one")
        owner.write(0x5000, b"saved")
        owner.snapshot(path)
        owner.write(0x5000, b"after")
        for flags in (0, vas.RESTORE_PRIVATE, vas.RESTORE_RAM_APART):
            with vas.restore(os.fsencode(path), flags) as back:
                assert back.read(0x5000, 5) == b"saved" and back.info().role == "owner"
                assert [r.name for r in back.regions()] == ["ram"]


@case
def a_snapshot_stands_on_a_parent():
    with tempfile.TemporaryDirectory() as folder, a_vas() as owner, owner.track() as tracker:
        first, second, third = (os.path.join(folder, name) for name in ("1", "2", "3"))
        owner.write(0, random.randbytes(MIB))
        byte = owner.read(PAGE - 1, 1)
        owner.snapshot(first)
        owner.write(PAGE, b"second")
        owner.snapshot(second, "1")
        tracker.begin()
        owner.snapshot(third, parent="1", tracker=tracker)
        tracker.commit()
        for path in (second, third):
            with vas.restore(path) as back:
                assert back.read(PAGE - 1, 7) == byte + b"second"
        os.remove(first)
        for path in (second, third):
            with fails(errno.ENOENT):
                vas.restore(path)


@case
def a_clone_has_views():
    with tempfile.TemporaryDirectory() as folder, a_vas() as owner:
        path = os.path.join(folder, "template")
        owner.write(0x3000, b"shared")
        owner.snapshot(path)
        with clone(path) as one, clone(path) as two:
            assert one.info().state_flags & vas.STATE_LAZY
            with one.map(0x3000, PAGE, write=True) as mapping, memoryview(mapping) as view:
                assert view[:6] == b"shared"
                view[:6] = b"my own"
            assert two.read(0x3000, 6) == b"shared" and one.read(0x3000, 6) == b"my own"
            one.lazy_wait()
            assert not one.info().state_flags & vas.STATE_LAZY
            one.region_add(32 * MIB, PAGE)
        with vas.restore(path, vas.RESTORE_LAZY) as lazy:
            lazy.lazy_wait(timeout=600)
            assert lazy.read(0x3000, 6) == b"shared"


@case
def what_is_no_snapshot_is_an_error():
    with tempfile.TemporaryDirectory() as folder, a_vas() as owner, a_vas() as other:
        path = os.path.join(folder, "none")
        with fails(errno.ENOENT):
            vas.restore(path)
        pathlib.Path(path).write_bytes(b"no snapshot" * 1000)
        with fails(errno.EPROTO):
            vas.restore(path)
        with fails(errno.EINVAL):
            vas.restore(path, 1 << 30)
        with fails(errno.ENOENT):
            owner.snapshot(path, "no-parent")
        with raises(TypeError):
            owner.snapshot(path, tracker=5)
        with raises(TypeError):
            owner.snapshot(5)
        with raises(ValueError):
            owner.snapshot("a\0b")
        with raises(ValueError, "another"), other.track() as tracker:
            owner.snapshot(path, "1", tracker)


main()
