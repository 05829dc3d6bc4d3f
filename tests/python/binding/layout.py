# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Layouts: transactions, regions, backings, discarding, sealing."""

import errno
import mmap
import os

import vas
from cases import LIMIT, MIB, PAGE, RAM_SIZE, a_vas, case, fails, in_thread, main, raises, two


@case
def a_transaction_is_committed_as_a_whole():
    with two() as (owner, binder):
        with owner.layout() as change:
            first = change.add(32 * MIB, 2 * PAGE, "first")
            change.add(40 * MIB, PAGE, name="rom", flags=vas.REGION_READONLY)
            change.resize(first, PAGE)
            change.move(first, 48 * MIB)
            assert len(binder.regions()) == 1
        names = [(r.name, r.gpa, r.size, r.flags) for r in binder.regions()]
        assert names == [("ram", 0, RAM_SIZE, 0), ("rom", 40 * MIB, PAGE, vas.REGION_READONLY),
                         ("first", 48 * MIB, PAGE, 0)], names
        assert binder.region_at(48 * MIB + 5) == binder.region_by_id(first)
        with fails(errno.EACCES):
            binder.write(40 * MIB, b"x")


@case
def an_exception_aborts():
    with a_vas() as owner:
        with raises(KeyError):
            with owner.layout() as change:
                change.remove(1)
                raise KeyError("on purpose")
        with owner.layout() as change:
            change.remove(1)
            change.abort()
        assert len(owner.regions()) == 1
        with raises(ValueError, "over"):
            change.remove(1)


@case
def a_wrong_change_is_named_and_changes_nothing():
    with a_vas() as owner, owner.layout() as change:
        with fails(errno.EEXIST):
            change.add(0, PAGE)
        with fails(errno.EINVAL, "size"):
            change.add(32 * MIB, 5)
        with fails(errno.ENOENT):
            change.remove(77)
        with fails(errno.EBADF, "backing"):
            change.add(32 * MIB, PAGE, backing=9, offset=0)
        with fails(errno.EOPNOTSUPP):
            change.add(32 * MIB, PAGE, flags=vas.REGION_LOCAL)
        with raises(ValueError, "23"):
            change.add(32 * MIB, PAGE, "x" * 24)


@case
def single_regions_change():
    with a_vas() as owner:
        id_ = owner.region_add(32 * MIB, 4 * PAGE, "more")
        owner.region_resize(id_, 2 * PAGE)
        owner.region_move(id_, 33 * MIB)
        assert owner.region_by_id(id_)[:3] == (33 * MIB, 2 * PAGE, 32 * MIB)
        owner.region_remove(id_)
        with fails(errno.ENOENT):
            owner.region_by_id(id_)


@case
def a_thread_does_not_wait_for_its_own_transaction():
    with a_vas() as owner, owner.layout() as change:
        for call in (lambda: owner.region_add(32 * MIB, PAGE), owner.freeze, owner.track,
                     owner.close, owner.destroy, change.__enter__, owner.notifications):
            with fails(errno.EDEADLK):
                call()
        assert owner.read(0, 4) == bytes(4)
        with raises(RuntimeError):
            in_thread(lambda: change.remove(1))
        change.add(32 * MIB, PAGE)


@case
def a_section_is_in_the_way_and_named():
    with two() as (owner, binder):
        with binder.section():
            with fails(errno.EBUSY) as caught:
                owner_in_thread = owner.layout(timeout=0.05)

                def change():
                    with owner_in_thread as layout:
                        layout.remove(1)
                in_thread(change)
        assert caught[0].blocker.kind == "section" and caught[0].blocker.pid == os.getpid()
        assert len(binder.regions()) == 1


@case
def a_lost_transaction_is_aborted():
    with a_vas() as owner:
        change = owner.layout()
        change.__enter__()
        change.remove(1)
        del change
        owner.region_add(32 * MIB, PAGE)
        assert len(owner.regions()) == 2


@case
def regions_lie_in_other_files():
    with a_vas() as owner:
        backing = owner.backing_create(MIB, "apart")
        owner.region_add(32 * MIB, MIB, "apart", offset=0, backing=backing)
        owner.write(32 * MIB, b"in a file")
        with mmap.mmap(owner.backing_fd(backing), PAGE) as file:
            assert file[:9] == b"in a file"
        fd = os.memfd_create("more", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, MIB)
        added = owner.backing_add(fd)
        os.close(fd)
        owner.region_add(40 * MIB, PAGE, backing=added, offset=PAGE)
        assert owner.read(40 * MIB, 3) == bytes(3)
        with fails(errno.EBUSY):
            owner.backing_remove(added)


@case
def a_binder_is_offered_a_file():
    with two() as (owner, binder):
        backing = owner.backing_create(MIB)
        owner.region_add(32 * MIB, MIB, offset=0, backing=backing)
        with fails(errno.ENXIO):
            binder.read(32 * MIB, 4)
        assert binder.backing_offer(owner.backing_fd(backing)) == backing
        assert binder.read(32 * MIB, 4) == bytes(4)


@case
def discarded_memory_is_zeros():
    with a_vas() as owner:
        owner.fill(0, 0xaa, 2 * PAGE)
        owner.discard(0, PAGE)
        assert owner.read(0, 2 * PAGE) == bytes(PAGE) + b"\xaa" * PAGE
        with fails(errno.EINVAL):
            owner.discard(1, PAGE)


@case
def a_template_is_never_written():
    with vas.create(LIMIT, flags=vas.CREATE_RAM_APART) as owner:
        owner.region_add(0, MIB, "ram")
        owner.write(0, b"for ever")
        with vas.bind(owner) as binder:
            binder.backing_offer(owner.backing_fd(0))
            with fails(errno.EBUSY) as caught:
                owner.ram_seal()
            assert caught[0].blocker.kind == "binder", caught[0].blocker
        owner.ram_seal()
        with fails(errno.EACCES):
            owner.write(0, b"x")
        assert owner.read(0, 8) == b"for ever"


main()
