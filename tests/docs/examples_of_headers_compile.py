#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The code in the public headers' comments, which is in the manual's section 3, compiles.

usage: examples_of_headers_compile.py INCLUDE-DIR

A block of lines behind " *<tab>" is code if a line of it ends as a statement does.
"""

import pathlib
import re
import subprocess
import sys

BLOCK = re.compile(r"^ \*\t.*\n(?: \*(?:\t.*)?\n)*", re.M)
STATEMENT = re.compile(r"[;{](?: //.*)?$", re.M)
AROUND = """
#include <linux/virtio_ring.h>
#include <string.h>
#include <vas/vas.h>
#include <vas/%s>
void use(struct vring_desc *d);
void fill_in(struct vring_used *used);
int example(struct vas *vas, uint64_t gpa, void *ptr, void *copy, size_t len, uint64_t seq, int sock)
{
	struct vring_used *used = NULL;
	struct vas_region region = { 0 };
	struct vas *share;
	uint64_t id, size = 4096;
	int err = 0, file = 0;
	(void)used, (void)region, (void)share, (void)id, (void)file, (void)size;
%s
	return err;
}
"""


def main():
    include = pathlib.Path(sys.argv[1])
    nr = 0
    for header in sorted((include / "vas").glob("*.h")):
        for block in BLOCK.findall(header.read_text()):
            code = re.sub(r"^ \*\t?", "", block, flags=re.M)
            if not STATEMENT.search(code):
                continue
            nr += 1
            compiled = subprocess.run(
                ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror",
                 f"-I{include}", "-fsyntax-only", "-xc", "-"],
                input=AROUND % (header.name, code), text=True, stderr=subprocess.PIPE)
            if compiled.returncode:
                sys.exit(f"{header}:\n{code}\n{compiled.stderr}")
    print(f"# {nr} examples")
    if nr < 4:
        sys.exit("not ok - they were not found")


if __name__ == "__main__":
    main()
