# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Mappings: guest memory as a buffer. And arrays of numpy over it."""

import errno
import gc
import os
import threading

import vas
from cases import MIB, PAGE, RAM_SIZE, Skip, a_vas, case, fails, main, raises, two


@case
def a_mapping_is_the_memory_itself():
    with two() as (owner, binder), binder.map(0, RAM_SIZE, write=True) as mapping:
        assert len(mapping) == RAM_SIZE and mapping.gpa == 0 and not mapping.readonly
        with memoryview(mapping) as view:
            view[0x1234:0x1239] = b"bytes"
            assert owner.read(0x1234, 5) == b"bytes"
            owner.write(0x1234, b"BYTES")
            assert view[0x1234:0x1239] == b"BYTES"


@case
def a_mapping_to_read_is_read_only():
    with two() as (owner, binder), vas.observe(owner) as observer:
        for handle in (owner, binder, observer):
            with handle.map(PAGE, PAGE) as mapping, memoryview(mapping) as view:
                assert view.readonly and mapping.readonly
                with raises(TypeError):
                    view[0] = 1
                with raises(BufferError):
                    owner.readv([(0, 1)], [mapping])
        with fails(errno.EACCES):
            observer.map(0, PAGE, write=True)


@case
def an_exported_buffer_keeps_mapping_and_handle():
    with two() as (_owner, binder):
        mapping = binder.map(0, PAGE, write=True)
        view = memoryview(mapping)
        for close in (mapping.close, binder.close, binder.destroy):
            with raises(BufferError, "in use"):
                close()
        view[0] = 7
        assert not mapping.closed and binder.read(0, 1) == b"\7"
        view.release()
        binder.close()
        assert mapping.closed
        with raises(ValueError):
            memoryview(mapping)
        mapping.close()


@case
def a_buffer_outlives_the_names_of_all_others():
    with a_vas() as owner:
        view = memoryview(vas.bind(owner).map(0, PAGE, write=True))
        gc.collect()
        view[5] = 9
        assert owner.read(5, 1) == b"\t" and owner.info().nr_pins == 1
        del view
        assert owner.info().nr_pins == 0


@case
def a_pin_is_in_the_way_and_named():
    with two() as (owner, binder):
        with binder.map(0, PAGE) as mapping:
            with fails(errno.EBUSY) as caught:
                with owner.layout(timeout=0.05) as change:
                    change.remove(1)
            blocker = caught[0].blocker
            assert (blocker.kind, blocker.pid, blocker.size) == ("pin", os.getpid(), PAGE), blocker
            assert mapping.request is None
        owner.region_remove(1)


@case
def the_owner_asks_a_holder_to_be_quiet():
    with two() as (owner, binder), binder.map(0, PAGE, write=True) as mapping:
        seen = []

        def freeze():
            owner.freeze(timeout=600)
            seen.append("frozen")

        thread = threading.Thread(target=freeze)
        thread.start()
        while mapping.request != "quiesce":
            pass
        mapping.quiesce()
        thread.join()
        assert seen == ["frozen"]
        owner.thaw()
        assert mapping.request is None
        with fails(errno.EAGAIN):
            mapping.quiesce()


@case
def what_cannot_be_mapped_is_an_error():
    with a_vas() as owner:
        for gpa, length, code in ((RAM_SIZE, PAGE, errno.EFAULT), (0, 0, errno.EFAULT),
                                  (0, 1 << 62, errno.EFAULT), ((1 << 64) - 1, 2, errno.EFAULT)):
            with fails(code):
                owner.map(gpa, length)
        with raises(OverflowError):
            owner.map(0, 1 << 63)
        with raises(TypeError):
            vas.Mapping()
        assert owner.info().nr_pins == 0


@case
def a_mapping_that_marks_is_dirty_where_it_says():
    with a_vas() as owner, owner.track() as tracker:
        with owner.map(0, MIB, write=True, marks=True) as mapping:
            with tracker.epoch():
                pass
            with memoryview(mapping) as view:
                view[3 * PAGE] = 1
            owner.mark(3 * PAGE, 1)
            with tracker.epoch() as epoch:
                assert [tuple(word) for word in epoch] == [(0, 1 << 3)]


def numpy():
    try:
        import numpy as np
    except ImportError:
        raise Skip("numpy is not installed") from None
    return np


@case
def an_array_lies_over_guest_memory():
    np = numpy()
    with two() as (owner, binder):
        mapping = binder.map(0, RAM_SIZE, write=True)
        array = np.frombuffer(mapping, dtype="<u4")
        array[:1024] = np.arange(1024)
        assert owner.read(4 * 1000, 4) == (1000).to_bytes(4, "little")
        owner.write(0, b"\xff\xff\xff\xff")
        assert array[0] == 0xffffffff and not array.flags.owndata
        column = array.reshape(-1, 1024)[:, 3]
        del array
        with raises(BufferError):
            binder.close()
        assert column[0] == 3
        del column
        binder.close()


@case
def an_array_of_an_observer_cannot_be_written():
    np = numpy()
    with a_vas() as owner, vas.observe(owner) as observer, observer.map(0, PAGE) as mapping:
        array = np.frombuffer(mapping, dtype=np.uint8)
        with raises(ValueError):
            array[0] = 1
        with raises(ValueError):
            array.flags.writeable = True
        del array


main()
