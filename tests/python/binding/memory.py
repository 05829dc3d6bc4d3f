# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Copies, searches and comparisons."""

import errno
import os
import signal
import threading

import vas
from cases import MIB, PAGE, RAM_SIZE, a_vas, case, fails, main, raises, two


@case
def buffers_of_all_kinds_are_written_and_filled():
    with a_vas() as owner:
        for kind in (bytes, bytearray, memoryview):
            owner.write(0x1000, kind(b"hello"))
            assert owner.read(0x1000, 5) == b"hello"
        into = bytearray(7)
        owner.readinto(0x1000, memoryview(into)[1:6])
        assert into == b"\0hello\0"
        big = bytes(range(256)) * 4096
        owner.write(0x1fff, big)
        assert owner.read(0x1fff, len(big)) == big == owner.peek(0x1fff, len(big))
        assert owner.read(0, 0) == b""


@case
def an_error_says_how_far_a_copy_came():
    with a_vas() as owner:
        for call in (lambda: owner.read(RAM_SIZE - 8, 2 * PAGE), lambda: owner.read(RAM_SIZE - 8, 16),
                     lambda: owner.peek(RAM_SIZE - 8, 16),
                     lambda: owner.readinto(RAM_SIZE - 8, bytearray(16)),
                     lambda: owner.write(RAM_SIZE - 8, bytes(16)),
                     lambda: owner.fill(RAM_SIZE - 8, 1, 16),
                     lambda: owner.readv([(RAM_SIZE - 8, 16)]),
                     lambda: owner.readv([(0, 3), (RAM_SIZE - 5, 16)], [bytearray(100)])):
            with fails(errno.EFAULT, "no region holds") as caught:
                call()
            assert caught[0].done == 8, caught[0].done


@case
def lists_of_ranges_are_one_copy():
    with a_vas() as owner:
        assert owner.writev([(0x1000, 3), (0x3000, 3)], [b"a", bytearray(b"bcdefgh")]) == 6
        assert owner.read(0x1000, 4) == b"abc\0" and owner.read(0x3000, 4) == b"def\0"
        assert owner.readv([(0x1000, 3), [0x3000, 3]]) == b"abcdef"
        one, more = bytearray(4), bytearray(9)
        assert owner.readv(iter([(0x1000, 3), (0x3000, 3)]), [one, more]) == 6
        assert one == b"abcd" and more == b"ef" + bytes(7)
        assert owner.readv([]) == b"" and owner.readv([], []) == 0


@case
def wrong_lists_are_type_errors():
    with a_vas() as owner:
        for ranges in (5, [5], [(1,)], [(1, 2, 3)], [("a", 1)], None):
            with raises(TypeError):
                owner.readv(ranges)
        with raises(OverflowError):
            owner.readv([(-1, 5)])
        with raises(BufferError):
            owner.readv([(0, 5)], [b"read-only"])
        with raises(TypeError):
            owner.writev([(0, 5)], [bytearray(1), "text"])
        with raises(MemoryError):
            owner.readv([(0, 1 << 63)])


@case
def patterns_are_found():
    with a_vas() as owner:
        assert owner.search(b"needle") is None
        owner.write(0x5ffd, b"needle")
        owner.write(0x9000, b"NEEDLE")
        assert owner.search(b"needle") == 0x5ffd
        assert owner.search(b"needle", 0x5ffe) is None
        assert owner.search(b"needle", len=0x6000) is None
        assert owner.search(b"needle", 0x5ffe, mask=b"\xdf" * 6) == 0x9000
        assert owner.search(b"NEEDLE", mask=b"\xdf" * 6) == 0x5ffd
        assert owner.search(b"x", gpa=1 << 63) is None
        with raises(ValueError, "mask"):
            owner.search(b"needle", mask=b"1")
        for pattern in (b"", b"x" * 5000):
            with fails(errno.EINVAL):
                owner.search(pattern)


@case
def a_match_on_the_border_of_two_slices_is_found():
    with vas.create(2 << 30) as owner:
        owner.region_add(0, 2 << 30, "ram")
        owner.write((256 << 20) - 3, b"border")
        assert owner.search(b"border") == (256 << 20) - 3
        assert owner.search(b"border", (256 << 20) - 3) == (256 << 20) - 3


@case
def memory_is_compared():
    with a_vas() as owner:
        owner.write(0, b"abc")
        assert owner.compare(0, b"abc") == (0, 3)
        assert owner.compare(0, b"abd") == (-1, 2)
        assert owner.compare(0, memoryview(b"aac")) == (1, 1)
        with fails(errno.EFAULT):
            owner.compare(RAM_SIZE, b"x")


@case
def looking_takes_no_memory():
    with a_vas() as owner:
        before = os.fstat(owner.fileno()).st_blocks
        assert owner.peek(0, 4 * MIB) == bytes(4 * MIB)
        assert os.fstat(owner.fileno()).st_blocks == before


@case
def numbers_are_checked():
    class Index:
        def __index__(self):
            return 0x1000

    with a_vas() as owner:
        owner.write(Index(), b"index")
        assert owner.read(Index(), 5) == b"index"
        for gpa, length in ((-1, 1), (0, -1), (1 << 64, 1), (0, 1 << 63)):
            with raises(OverflowError):
                owner.read(gpa, length)
        for arguments in ((), (0,), (0, 1, 2), ("0", 1), (0, 1.5), (None, 1)):
            with raises(TypeError):
                owner.read(*arguments)
        with raises((MemoryError, OverflowError)):
            owner.read(0, (1 << 63) - 1)
        with fails(errno.EFAULT):
            owner.read((1 << 64) - 1, 1 << 40)
        with raises(TypeError):
            owner.write(0, "text")
        with raises(OverflowError):
            owner.fill(0, 256, 1)


@case
def an_index_that_closes_the_handle_is_no_harm():
    with a_vas() as owner:
        class Closer:
            def __init__(self, handle):
                self.handle = handle

            def __index__(self):
                self.handle.close()
                return 0

        for call in (lambda b: b.read(Closer(b), 1), lambda b: b.write(Closer(b), b"x"),
                     lambda b: b.peek(0, Closer(b)), lambda b: b.map(Closer(b), 1),
                     lambda b: b.readv([(Closer(b), 1)]), lambda b: b.region_at(Closer(b)),
                     lambda b: b.search(b"x", Closer(b)), lambda b: b.mark(0, Closer(b)),
                     lambda b: b.fill(Closer(b), 0, 1), lambda b: b.section().load(Closer(b), 8),
                     lambda b: b.backing_fd(Closer(b)), lambda b: b.region_remove(Closer(b))):
            binder = vas.bind(owner)
            with raises(ValueError):
                call(binder)
            assert binder.closed


@case
def a_signal_ends_a_wait():
    """Ctrl-C: its handler raises, whatever the library waits for."""
    def interrupt(_number, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with two() as (owner, binder):
            doorbell = owner.event_add("doorbell", 1)
            owner.freeze()
            for wait in (doorbell.wait, binder.wait_thawed):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                with raises(KeyboardInterrupt):
                    wait()
            owner.thaw()
            entered, leave = threading.Event(), threading.Event()

            def hold():
                with owner.layout():
                    entered.set()
                    leave.wait()

            thread = threading.Thread(target=hold)
            thread.start()
            entered.wait()
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with raises(KeyboardInterrupt):
                owner.freeze()
            leave.set()
            thread.join()
    finally:
        signal.signal(signal.SIGALRM, before)


main()
