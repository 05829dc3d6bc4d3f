# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""libvas without a C compiler: loaded at run time, every function called by its symbol.

usage: by_symbol.py LIBVAS.so MAP
"""

import ctypes
import errno
import re
import sys
import threading

U16, U32, U64, SIZE, PTR = (ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_size_t,
                            ctypes.c_void_p)
READ, WRITE = 0, 1
SEQ_CST = 5
RAM_SIZE = 16 << 20
PAGE = 4096


class Options(ctypes.Structure):
    _fields_ = [("limit", U64), ("ram_size", U64), ("name", ctypes.c_char_p), ("flags", U32),
                ("max_regions", U32), ("nr_slots", U32), ("reserved", U32 * 7)]


class Region(ctypes.Structure):
    _fields_ = [("gpa", U64), ("size", U64), ("offset", U64), ("backing", U32), ("flags", U32),
                ("id", U64), ("hva", PTR), ("name", ctypes.c_char * 24)]


class Range(ctypes.Structure):
    _fields_ = [("gpa", U64), ("len", U64)]


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("len", SIZE)]


class Cache(ctypes.Structure):
    _fields_ = [("gpa", U64), ("size", U64), ("hva", PTR), ("serial", U64), ("prot", U32)]


class DirtyWord(ctypes.Structure):
    _fields_ = [("gpa", U64), ("bits", U64)]


LIB = ctypes.CDLL(sys.argv[1])


def declare(name, result, *arguments):
    function = getattr(LIB, name)
    function.restype, function.argtypes = result, arguments


INT = ctypes.c_int
for _name, _result, _arguments in (
        ("vas_create", INT, (PTR, PTR)), ("vas_destroy", None, (PTR,)),
        ("vas_error", ctypes.c_char_p, ()), ("vas_fd", INT, (PTR,)),
        ("vas_bind", INT, (INT, U32, PTR)), ("vas_unbind", None, (PTR,)),
        ("vas_region_add", INT, (PTR, PTR, PTR)), ("vas_generation", U64, (PTR,)),
        ("vas_enter", INT, (PTR,)), ("vas_leave", None, (PTR,)),
        ("vas_thread_register", PTR, (PTR,)), ("vas_enter_registered", INT, (PTR, PTR)),
        ("vas_leave_registered", None, (PTR, PTR)),
        ("vas_translate", PTR, (PTR, U64, U64, U32)),
        ("vas_translate_cached", PTR, (PTR, PTR, U64, U64, U32)),
        ("vas_mark", None, (PTR, U64, U64)), ("vas_page_failed", INT, (PTR,)),
        ("vas_read", INT, (PTR, U64, PTR, SIZE, PTR)),
        ("vas_write", INT, (PTR, U64, PTR, SIZE, PTR)),
        ("vas_readv", INT, (PTR, PTR, SIZE, PTR, SIZE, PTR)),
        ("vas_write_begin", INT, (PTR, U64, U64, PTR)), ("vas_write_end", INT, (PTR, U64, U64)),
        ("vas_observe_begin", U64, (PTR,)), ("vas_observe_retry", INT, (PTR, U64)),
        ("vas_load_le16", INT, (PTR, U64, PTR, INT)), ("vas_store_le16", INT, (PTR, U64, U16, INT)),
        ("vas_fetch_add_le64", INT, (PTR, U64, U64, PTR, INT)),
        ("vas_cmpxchg_le32", INT, (PTR, U64, PTR, U32, INT)),
        ("vas_tracker_attach", INT, (PTR, ctypes.c_char_p, U32, PTR)),
        ("vas_tracker_begin", INT, (PTR,)), ("vas_tracker_commit", INT, (PTR,)),
        ("vas_tracker_detach", None, (PTR,)),
        ("vas_tracker_harvest", ctypes.c_ssize_t, (PTR, PTR, U64, SIZE, PTR))):
    declare(_name, _result, *_arguments)


def ok(result):
    assert result >= 0, (result, LIB.vas_error())
    return result


def read(vas, gpa, nr):
    buf = ctypes.create_string_buffer(nr)
    ok(LIB.vas_read(vas, gpa, buf, nr, None))
    return buf.raw


def create():
    vas = PTR()
    options = Options(limit=64 << 20, name=b"by symbol")
    ok(LIB.vas_create(ctypes.byref(options), ctypes.byref(vas)))
    ok(LIB.vas_region_add(vas, ctypes.byref(Region(size=RAM_SIZE, name=b"ram")), None))
    return vas


def every_listed_symbol_is_there(_vas):
    with open(sys.argv[2], encoding="utf-8") as file:
        names = re.findall(r"\t(vas_\w+);", file.read())
    assert len(names) > 100, names
    for name in names:
        getattr(LIB, name)


def what_is_written_is_read(vas):
    done = SIZE()
    ok(LIB.vas_write(vas, 0x1ffd, b"across pages", 12, ctypes.byref(done)))
    assert done.value == 12
    assert read(vas, 0x1ffd, 12) == b"across pages"
    buf = ctypes.create_string_buffer(PAGE)
    assert LIB.vas_read(vas, RAM_SIZE - 8, buf, PAGE, ctypes.byref(done)) == -errno.EFAULT
    assert done.value == 8 and b"no region holds" in LIB.vas_error()


def a_translation_holds_in_a_section(vas):
    cache = Cache()
    ok(LIB.vas_enter(vas))
    hva = LIB.vas_translate(vas, 0x3000, 16, WRITE)
    assert hva and hva == LIB.vas_translate_cached(vas, ctypes.byref(cache), 0x3000, 16, WRITE)
    assert cache.size == RAM_SIZE
    assert LIB.vas_translate(vas, RAM_SIZE, 1, READ) is None
    ctypes.memmove(hva, b"through a pointer", 16)
    LIB.vas_mark(vas, 0x3000, 16)
    assert LIB.vas_page_failed(vas) == 0
    LIB.vas_leave(vas)
    assert read(vas, 0x3000, 16) == b"through a pointe"


def a_registered_thread_enters(vas):
    def body():
        thread = LIB.vas_thread_register(vas)
        ok(LIB.vas_enter_registered(vas, thread))
        found.append(LIB.vas_translate(vas, 0, 1, READ))
        LIB.vas_leave_registered(vas, thread)

    found = []
    worker = threading.Thread(target=body)
    worker.start()
    worker.join()
    assert found and found[0]


def a_mark_is_harvested(vas):
    tracker, words, gpa = PTR(), ctypes.POINTER(DirtyWord)(), U64()
    ok(LIB.vas_tracker_attach(vas, b"python", 0, ctypes.byref(tracker)))
    for mark in (lambda: LIB.vas_mark(vas, 5 * PAGE, 1), lambda: write_through(vas, 5 * PAGE)):
        ok(LIB.vas_enter(vas))
        mark()
        LIB.vas_leave(vas)
        ok(LIB.vas_tracker_begin(tracker))
        gpa.value = 0
        nr = ok(LIB.vas_tracker_harvest(tracker, ctypes.byref(gpa), RAM_SIZE, 100,
                                        ctypes.byref(words)))
        assert [(words[i].gpa, words[i].bits) for i in range(nr)] == [(0, 1 << 5)]
        ok(LIB.vas_tracker_commit(tracker))
    LIB.vas_tracker_detach(tracker)


def write_through(vas, gpa):
    ptr = PTR()
    ok(LIB.vas_write_begin(vas, gpa, 4, ctypes.byref(ptr)))
    ctypes.memmove(ptr, b"word", 4)
    ok(LIB.vas_write_end(vas, gpa, 4))
    assert read(vas, gpa, 4) == b"word"


def fields_are_atomic_calls(vas):
    value, old, expected = U16(), U64(), U32(7)
    ok(LIB.vas_store_le16(vas, 0x6000, 0x1234, SEQ_CST))
    ok(LIB.vas_load_le16(vas, 0x6000, ctypes.byref(value), SEQ_CST))
    assert value.value == 0x1234 and read(vas, 0x6000, 2) == b"\x34\x12"
    ok(LIB.vas_fetch_add_le64(vas, 0x6008, 5, ctypes.byref(old), SEQ_CST))
    assert old.value == 0 and read(vas, 0x6008, 1) == b"\5"
    assert LIB.vas_cmpxchg_le32(vas, 0x6008, ctypes.byref(expected), 9, SEQ_CST) == -errno.EAGAIN
    assert expected.value == 5
    assert LIB.vas_load_le16(vas, 0x6001, ctypes.byref(value), SEQ_CST) == -errno.EINVAL


def a_list_of_ranges_is_read(vas):
    ok(LIB.vas_write(vas, 0x7000, b"abc", 3, None))
    ok(LIB.vas_write(vas, 0x9000, b"def", 3, None))
    one, two = ctypes.create_string_buffer(4), ctypes.create_string_buffer(2)
    iov = (Iovec * 2)((ctypes.cast(one, ctypes.c_char_p), 4), (ctypes.cast(two, ctypes.c_char_p), 2))
    ranges, done = (Range * 2)((0x7000, 3), (0x9000, 3)), SIZE()
    ok(LIB.vas_readv(vas, ranges, 2, iov, 2, ctypes.byref(done)))
    assert (one.raw, two.raw, done.value) == (b"abcd", b"ef", 6)


def an_observer_sees_a_change(vas):
    observer = PTR()
    ok(LIB.vas_bind(LIB.vas_fd(vas), 1, ctypes.byref(observer)))
    seq = LIB.vas_observe_begin(observer)
    assert seq == LIB.vas_generation(vas)
    assert LIB.vas_observe_retry(observer, seq) == 0
    region = Region(gpa=32 << 20, size=PAGE, offset=32 << 20, name=b"more")
    ok(LIB.vas_region_add(vas, ctypes.byref(region), None))
    assert LIB.vas_observe_retry(observer, seq) == 1
    LIB.vas_unbind(observer)


CASES = (every_listed_symbol_is_there, what_is_written_is_read, a_translation_holds_in_a_section,
         a_registered_thread_enters, a_mark_is_harvested, fields_are_atomic_calls,
         a_list_of_ranges_is_read, an_observer_sees_a_change)


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, case in enumerate(CASES, 1):
        vas = create()
        try:
            case(vas)
            print(f"ok {number} - {case.__name__}")
        except AssertionError as error:
            failed = 1
            print(f"not ok {number} - {case.__name__}: {error!r}")
        LIB.vas_destroy(vas)
    return failed


sys.exit(main())
