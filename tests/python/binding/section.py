# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Sections, and single fields in them."""

import errno

import vas
from cases import MIB, PAGE, RAM_SIZE, a_vas, case, fails, in_thread, main, raises, two


@case
def fields_of_all_widths_are_little_endian():
    with two() as (owner, binder), binder.section() as section:
        for bits in (8, 16, 32, 64):
            value = 0xf123456789abcdef & (1 << bits) - 1
            section.store(0x1000, value, bits)
            assert owner.read(0x1000, bits // 8) == value.to_bytes(bits // 8, "little")
            assert section.load(0x1000, bits) == value


@case
def fields_are_modified():
    with a_vas() as owner, owner.section() as section:
        for bits in (8, 16, 32, 64):
            section.store(0, 5, bits)
            assert section.fetch_add(0, 3, bits) == 5
            assert section.fetch_or(0, 0x10, bits) == 8
            assert section.fetch_and(0, 0x11, bits) == 0x18
            assert section.exchange(0, 1, bits) == 0x10
            assert section.cmpxchg(0, 2, 9, bits) == 1 and section.load(0, bits) == 1
            assert section.cmpxchg(0, 1, 9, bits) == 1 and section.load(0, bits) == 9


@case
def a_wrong_field_is_an_error():
    with a_vas() as owner, owner.section() as section:
        with fails(errno.EINVAL):
            section.load(1, 16)
        with fails(errno.EFAULT):
            section.load(RAM_SIZE, 8)
        for bits in (0, 7, 128):
            with raises(ValueError, "bits"):
                section.load(0, bits)
        with raises(OverflowError):
            section.store(0, 256, 8)
        with raises(OverflowError):
            section.cmpxchg(0, 1 << 32, 0, 32)
        with raises(TypeError):
            section.load(0)


@case
def a_frozen_vas_is_not_written_by_a_field():
    with two() as (owner, binder):
        owner.freeze()
        with binder.section() as section:
            for call in (lambda: section.store(0, 1, 8), lambda: section.cmpxchg(0, 0, 1, 8),
                         lambda: section.fetch_add(0, 1, 8)):
                with fails(errno.EAGAIN, "frozen"):
                    call()
            assert section.load(0, 8) == 0
        owner.thaw()


@case
def sections_nest():
    with a_vas() as owner:
        section, other = owner.section(), owner.section()
        with section, other, section:
            owner.write(0, b"inside")
            assert section.load(0, 8) == other.load(0, 8) == ord("i")
        with raises(ValueError, "not entered"):
            section.load(0, 8)
        section.__exit__(None, None, None)
        owner.region_remove(1)


@case
def a_handle_with_an_open_section_is_not_closed():
    with two() as (_owner, binder):
        with binder.section() as section:
            with fails(errno.EBUSY, "section"):
                binder.close()
            section.load(0, 8)
        binder.close()


@case
def a_change_in_ones_own_section_is_an_error():
    with a_vas() as owner, owner.section():
        with fails(errno.EDEADLK):
            owner.region_add(32 * MIB, PAGE)


@case
def a_section_is_of_one_thread():
    with a_vas() as owner, owner.section() as section:
        for call in (lambda: section.load(0, 8), section.__enter__, section.__exit__):
            with raises(RuntimeError, "thread"):
                in_thread(call)
        assert section.load(0, 8) == 0


@case
def a_section_that_is_disconnected_has_ended():
    with a_vas() as owner:
        section = owner.section()
        section.__enter__()
        del section
        owner.region_remove(1)
        in_thread(lambda: owner.section().__enter__())
        owner.region_add(0, PAGE)


main()
