# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A vas used with nothing but its fd: pread, mmap, dd, struct.unpack; no libvas in this process.

Started by "vas create ... -- python3 without_a_library.py", with the fd's number in VAS_FD. What is
written here is looked at with the vas command ($VAS), and the other way round.
"""

import fcntl
import mmap
import os
import struct
import subprocess
import sys
import uuid

FD = int(os.environ["VAS_FD"])
VAS = os.environ["VAS"]
RAM_GPA, RAM_SIZE = 0, 16 << 20
ROM_GPA, ROM_SIZE = 0x8000000, 64 << 10

# struct vas_superblock, as vas-format(5) has it.
SUPERBLOCK = struct.Struct("<QII QQ 16s 64s QQQ 8I")
EXTENT = struct.Struct("<QQ")
STATE = struct.Struct("<QQ 4I 32x")
REGION = struct.Struct("<QQQ II Q 24s")
CONTROL, TABLES = 0, (6, 7)  # numbers of extents


def superblock():
    size = os.fstat(FD).st_size
    page = os.pread(FD, 4096, size - 4096)
    fields = SUPERBLOCK.unpack_from(page)
    extents = [EXTENT.unpack_from(page, SUPERBLOCK.size + 16 * i) for i in range(10)]
    names = ("magic version page_size required optional uuid name file_size ram_size limit "
             "max_regions nr_slots nr_binders nr_pins nr_events nr_backings nr_trackers pad").split()
    return dict(zip(names, fields), extents=extents)


def regions():
    """The layout as the control area says it: generation, state, table."""
    sb = superblock()
    control = sb["extents"][CONTROL][0]
    (generation,) = struct.unpack("<Q", os.pread(FD, 8, control))
    at = control + 192 + 64 * (generation & 1)
    state = STATE.unpack(os.pread(FD, 64, at))
    assert state[0] == generation, state
    table = sb["extents"][TABLES[state[2]]][0]
    return [REGION.unpack(os.pread(FD, 64, table + 64 * i)) for i in range(state[3])]


def vas(*args):
    return subprocess.run([VAS, *args], pass_fds=[FD], check=True, stdout=subprocess.PIPE).stdout


def the_superblock_can_be_unpacked():
    sb = superblock()
    assert sb["magic"].to_bytes(8, "little") == b"vasfd\x1a\r\n", hex(sb["magic"])
    assert sb["version"] == 1
    assert sb["page_size"] == 4096
    assert sb["required"] == 0
    assert sb["name"].rstrip(b"\0") == b"pytest"
    assert uuid.UUID(bytes=sb["uuid"]).version == 4
    assert sb["file_size"] == os.fstat(FD).st_size
    assert sb["ram_size"] == sb["limit"] == 256 << 20
    end = sb["ram_size"]
    for offset, size in sb["extents"]:
        assert offset % 4096 == 0 and offset >= end and size > 0
        end = offset + size
    assert end <= sb["file_size"] - 4096


def the_table_can_be_unpacked():
    ram, rom = regions()
    assert ram[:5] == (RAM_GPA, RAM_SIZE, RAM_GPA, 0, 0), ram
    assert rom[:5] == (ROM_GPA, ROM_SIZE, ROM_GPA, 0, 1), rom
    assert ram[6].rstrip(b"\0") == b"ram" and rom[6].rstrip(b"\0") == b"rom"
    assert ram[5] != rom[5]


def the_file_is_sealed():
    seals = fcntl.fcntl(FD, fcntl.F_GET_SEALS)
    wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    assert seals & wanted == wanted, seals
    for size in (0, 1 << 30):
        try:
            os.ftruncate(FD, size)
        except PermissionError:
            continue
        raise AssertionError("the size could be changed")


def pread_and_pwrite_reach_guest_memory():
    assert os.pread(FD, 64, 0x1000) == bytes(64)
    assert os.pwrite(FD, b"from python", 0x1ffa) == 11
    assert vas("read", str(FD), "0x1ffa", "11", "--raw") == b"from python"
    vas("write", str(FD), "0x3000", "--string", "from vas")
    assert os.pread(FD, 8, 0x3000) == b"from vas"


def mmap_shares_guest_memory():
    with mmap.mmap(FD, 0x10000, offset=0x10000) as m:
        m[0x234:0x23a] = b"mapped"
        assert vas("read", str(FD), "0x10234", "6", "--raw") == b"mapped"
        vas("write", str(FD), "0x10300", "--string", "seen")
        assert m[0x300:0x304] == b"seen"


def dd_copies_in_and_out():
    path = f"/proc/{os.getpid()}/fd/{FD}"
    page = bytes(range(256)) * 16
    subprocess.run(["dd", f"of={path}", "bs=4096", "seek=5", "conv=notrunc", "status=none"],
                   input=page, check=True)
    assert vas("read", str(FD), "0x5000", "4096", "--raw") == page
    out = subprocess.run(["dd", f"if={path}", "bs=4096", "skip=5", "count=1", "status=none"],
                         stdout=subprocess.PIPE, check=True).stdout
    assert out == page


def a_read_only_fd_cannot_write():
    fd = os.open(f"/proc/self/fd/{FD}", os.O_RDONLY)
    try:
        assert os.pread(fd, 11, 0x1ffa) == b"from python"
        for attempt in (lambda: os.pwrite(fd, b"x", 0), lambda: mmap.mmap(fd, 4096)):
            try:
                attempt()
            except OSError:
                continue
            raise AssertionError("an observer's fd could write")
        mmap.mmap(fd, 4096, prot=mmap.PROT_READ).close()
    finally:
        os.close(fd)


def holes_are_sparse():
    """What nobody touched has no memory, and reading it does not change that."""
    used = os.fstat(FD).st_blocks
    assert used * 512 < 8 << 20, used
    assert os.lseek(FD, 0x800000, os.SEEK_HOLE) == 0x800000
    assert os.pread(FD, 4096, 0x800000) == bytes(4096)
    assert os.fstat(FD).st_blocks == used


CASES = (the_superblock_can_be_unpacked, the_table_can_be_unpacked, the_file_is_sealed,
         pread_and_pwrite_reach_guest_memory, mmap_shares_guest_memory, dd_copies_in_and_out,
         a_read_only_fd_cannot_write, holes_are_sparse)


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for i, case in enumerate(CASES, 1):
        try:
            case()
            print(f"ok {i} - {case.__name__}")
        except (AssertionError, OSError, ValueError, struct.error,
                subprocess.CalledProcessError) as error:
            failed += 1
            line = error.__traceback__.tb_next.tb_lineno
            print(f"# line {line}: {type(error).__name__} {error}")
            print(f"not ok {i} - {case.__name__}")
    return failed != 0


sys.exit(main())
