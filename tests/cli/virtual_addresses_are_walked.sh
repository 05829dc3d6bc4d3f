#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What is read by virtual address is where the page tables in guest memory say; tables that lead
# nowhere are told, with their entry.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --memory 4M
# Virtual pages 0x400000 and 0x401000 are far apart and the wrong way round; 0x600000 is a large page.
python3 - >"$tmp/tables" <<'END'
import struct, sys

tables = {0x1000: 0x2067, 0x2000: 0x3067, 0x3010: 0x4067, 0x3018: 0x2000E7, 0x4000: 0x8067,
          0x4008: 0x6067, 0x4010: 0x7FFFFF000067,
          0x1008: 0x5F5F5F5F5067, 0x1010: 0x1067, 0x1018: 0xE7}
image = bytearray(0x5000)
for at, entry in tables.items():
    struct.pack_into("<Q", image, at, entry)
sys.stdout.buffer.write(image)
END
expect 0 write "$mine" 0 --file "$tmp/tables"
expect 0 write "$mine" 0x8ffd --string hel
expect 0 write "$mine" 0x6000 --string lo
expect 0 write "$mine" 0x212345 --string large

expect 0 read "$mine" 0x400ffd 5 --virtual --cr3 0x1000 --raw
out_is hello
expect 0 read "$mine" 0x612345 5 --cr3=0x1007 --raw
out_is large
expect 0 read "$mine" 0x400ff0 16 --cr3 0x1000
out_is "000000400ff0  00 00 00 00 00 00 00 00  00 00 00 00 00 68 65 6c  |.............hel|"

# Up to where nothing is mapped; and what that is.
expect 4 read "$mine" 0x3ffffe 5 --cr3 0x1000 --raw
err_has "stopped at virtual address 0x3ffffe after 0 of 5 bytes: not mapped at level 2, entry 0x0 at gpa 0x3008"
expect 4 read "$mine" 0x401000 8K --cr3 0x1000 -o "$tmp/part"
is_equal "$(stat -c %s "$tmp/part")" 4096
err_has "stopped at 0x7fffff000000"
expect 4 read "$mine" 0x8000000000 8 --cr3 0x1000
err_has "the page table's entry of level 3 cannot be read"
expect 4 read "$mine" 0x18000000000 8 --cr3 0x1000
err_has "no proper page table at level 4, entry 0xe7 at gpa 0x1018"
expect 4 read "$mine" 0x0000800000000000 8 --cr3 0x1000
err_has "no canonical address"
expect 4 read "$mine" 0x1000 8 --cr3 1G
err_has "the page table's entry of level 4 cannot be read"
# Tables that lead to themselves.
expect 0 read "$mine" 0x10080402000 8 --cr3 0x1000 --hex
out_is 6720000000000000
# One more level.
expect 0 write "$mine" 0x9000 --hex 6710000000000000
expect 0 read "$mine" 0x400ffd 5 --cr3 0x9000 --la57 --raw
out_is hello
expect 0 write "$mine" 0xa000 --hex 03b0000000000000
expect 0 write "$mine" 0xb000 --hex 4100000000000000
expect 0 read "$mine" 0x212345 5 --ttbr 0xa000 --raw
out_is large

# What is side by side there alone is found there alone, and nothing over what is not mapped.
expect 1 find "$mine" hello
expect 0 find "$mine" hello HELLO --virtual --cr3 0x1000 -i --range 0:64M
out_is "0x400ffd  hello
0x400ffd  HELLO"
expect 1 find "$mine" large --cr3 0x1000 --range 0x400000:0x212345
expect 1 find "$mine" large --cr3 0x1000 --range 0x400000:0x212349
expect 0 find "$mine" large --cr3 0x1000 --range 0x400000:0x21234a --json
is_equal "$(json "[m['va'] for m in j['matches']]")" "[$((0x612345))]"
expect 0 write "$mine" 0x3ffff8 --string "the end"
expect 0 find "$mine" "the end" --cr3 0x1000 --range 0:1G
out_is 0x7ffff8
expect 1 find "$mine" nowhere --cr3 0x1000 --range 0x8000000000:256G
expect 2 find "$mine" large --cr3 0x1000
err_has "Give --range VA:LEN"
expect 2 find "$mine" large --cr3 0x1000 --range 0:256T
err_has "not all addresses from 0x0 to 0xffffffffffff are canonical"
expect 2 find "$mine" large --virtual
err_has "by which page tables?"

expect 2 read "$mine" 0 8 --virtual
err_has "by which page tables?"
expect 2 read "$mine" 0 8 --cr3 0x1000 --ttbr 0x1000
err_has "one of them, once"
expect 2 read "$mine" 0 8 --ttbr 0x1000 --la57
err_has "--la57 goes with --cr3"
expect 2 read "$mine" 0 8 --cr3 here
err_has "'here' is no address"
