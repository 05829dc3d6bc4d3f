#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A guest that has touched most of its memory becomes twenty clones of itself. All of them run, and together
# they take the guest's memory once and what each has written: a page that none has written is there once.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
need python3
nr=20
# What a guest writes while it counts a few times: 8 MiB of its own, and what Linux does beside that.
written_mib=40

make_guest
run_opts=--template
mkfifo "$tmp/pipe.in" "$tmp/pipe.out"
qemu null
command="${command%-serial*} -serial pipe:$tmp/pipe ${command#*-serial file:null}"
cat "$tmp/pipe.out" >"$tmp/serial" &
started="$started $!"
# shellcheck disable=SC2086 # words
"$VAS" run --name "$mine" $run_opts -- $command -append "$append" >"$tmp/run.out" 2>"$tmp/run.err" &
guest=$!
started="$started $guest"
wait_until is_beyond "$tmp/serial" 3
echo "fill $((mib * 3 / 4))" >"$tmp/pipe.in"
wait_until grep -q "fill: $((mib * 3 / 4)) MiB" "$tmp/serial"
counts_on "$tmp/serial" "$(last "$tmp/serial")"
touched=$(($(resident "$mine") >> 20))
[ "$touched" -ge $((mib * 3 / 4)) ] || die "the guest has touched $touched MiB only"

qemu "$tmp/clone-@INDEX@"
: >"$tmp/ref"
# shellcheck disable=SC2086 # words
"$VAS" clone --private --number $nr "$mine" -- $command -append "$append" >"$tmp/ref" 2>"$tmp/clones.err" &
clones=$! pid=$!
started="$started $pid"
wait_until is_created
[ -s "$tmp/ref" ] || die "vas clone: $(cat "$tmp/clones.err")"
at=$(last "$tmp/serial")
clone=0
while [ $clone -lt $nr ]; do
	counts_on "$tmp/clone-$clone" "$at"
	is_gapless "$tmp/clone-$clone" $((at + 1))
	clone=$((clone + 1))
done

# In MiB: the template, by its file; and what each QEMU has of its own in its map of it.
taken=$(python3 - "$clones" <<'END'
import os, re, sys

holder, own, template = sys.argv[1], 0, None
for pid in open(f"/proc/{holder}/task/{holder}/children").read().split():
    words = open(f"/proc/{pid}/cmdline").read()
    fd = re.search(r"mem-path=/proc/self/fd/(\d+),share=off", words).group(1)
    file = os.stat(f"/proc/{pid}/fd/{fd}")
    template = template or file
    assert file.st_ino == template.st_ino, "they have one template"
    is_ram = False
    for line in open(f"/proc/{pid}/smaps"):
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_ram = line.split()[4] == str(file.st_ino)
        elif is_ram and line.startswith("Anonymous:"):
            own += int(line.split()[1])
print((template.st_blocks // 2 + own) // 1024, template.st_blocks // 2048, own // 1024)
END
) || die "their memory cannot be looked at"
# shellcheck disable=SC2086 # three numbers
set -- $taken
echo "# the guest had touched $touched MiB; its $nr clones take $1: $2 of the template, $3 of their own"
[ "$1" -le $((touched * 12 / 10 + nr * written_mib)) ] || die "that is too much"
[ "$2" -le $((touched * 12 / 10)) ] || die "the template is too large"
end "$clones"
wait_until run_folder_is_empty
