#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Random memory, with holes, in small pages and random patterns: what Python finds in a dump, and no more.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

seed=${SEED:-$(date +%s)}
echo "seed $seed"
create "$mine" --region 0:20M --region 20M:2M --region 24M:20M
python3 - "$seed" "$VAS" "$ref" "$tmp" <<'END'
import random, subprocess, sys

seed, vas, name, tmp = sys.argv[1:]
random.seed(int(seed))
MIB = 1 << 20
regions = [(0, 22 * MIB), (24 * MIB, 44 * MIB)]

def call(*args, code=0, **more):
    done = subprocess.run([vas, *args], capture_output=True, **more)
    if done.returncode not in (0, code):
        sys.exit(f"vas {args}: {done.returncode}: {done.stderr.decode()}")
    return done.stdout

for _ in range(40):
    start, end = random.choice(regions)
    size = random.choice([5, 300, 4096, 20000])
    gpa = random.randrange(start, end - size)
    # Few different bytes, zeros among them, so that patterns match here and there.
    data = bytes(random.choices(b"\0abc", k=size))
    call("write", name, hex(gpa), input=data)
call("dump", name, "-o", tmp + "/dump")
memory = open(tmp + "/dump", "rb").read()
for _ in range(20):
    pattern = [random.choice([b"a", b"b", b"c", b"\0"]) for _ in range(random.randrange(3, 14))]
    pattern[0] = random.choice([b"a", b"\0"])
    pattern[random.randrange(len(pattern))] = b"b"
    for _ in range(random.randrange(3)):
        pattern[random.randrange(len(pattern))] = None
    if b"b" not in pattern:
        continue
    digits = " ".join("??" if p is None else p.hex() for p in pattern)
    anchor = pattern.index(b"b")
    wanted = []
    for start, end in regions:
        at = memory.find(b"b", start, end)
        while at >= 0:
            first = at - anchor
            if first >= start and first + len(pattern) <= end and all(
                    p is None or p[0] == memory[first + i] for i, p in enumerate(pattern)):
                wanted.append(first)
            at = memory.find(b"b", at + 1, end)
    threads = str(random.randrange(1, 4))
    found = call("find", name, "--hex", digits, "--threads", threads, code=1)
    found = [int(line, 16) for line in found.split()]
    if found != wanted:
        print(f"{digits}: {len(found)} found, {len(wanted)} wanted; differ: "
              f"{[hex(x) for x in sorted(set(found) ^ set(wanted))[:5]]}")
        sys.exit(1)
END
