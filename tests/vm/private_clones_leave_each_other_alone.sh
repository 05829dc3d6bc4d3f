#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Three guests run on one template, and a fourth that another command starts. One writes to all of its memory,
# and then balloons it away: its siblings count on with theirs as it was, and not a byte of the template changes.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
modules="virtio_pci virtio_balloon"
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
need python3 sha256sum

balloon="-device virtio-balloon-pci"

make_guest
cmdline=loglevel=6
run_opts=-q more=$balloon
boot "$mine" "$tmp/serial"
expect 0 snapshot "$mine" "$tmp/file"
at=$(last "$tmp/serial")
end "$pid"

# What others would have to see of it, it cannot have; and nothing is started that was not saved.
expect 2 clone --private "$tmp/file" -- qemu-system-x86_64 -m "${mib}M" -netdev vhost-user,id=n,chardev=c
err_has "another process cannot see the memory of a private clone"
expect 2 clone --private "$tmp/file" -- qemu-system-x86_64 -m "${mib}M" -daemonize
expect 3 clone --private --no-start "$tmp/file"
err_has "drop --private"
create "$mine-memory" --memory 1M
expect 0 snapshot "$mine-memory" "$tmp/memory"
expect 3 clone --private "$tmp/memory"
end "$pid"

for clone in 0 1 2 3 4; do
	mkfifo "$tmp/pipe-$clone.in" "$tmp/pipe-$clone.out"
	cat "$tmp/pipe-$clone.out" >"$tmp/clone-$clone" &
	started="$started $!"
done
qemu null
command="${command%-serial*} -serial pipe:$tmp/pipe-@INDEX@ ${command#*-serial file:null}"
: >"$tmp/ref"
# Only of a file that was not changed just now is a template offered to others.
is_settled()
{
	[ $(($(date +%s) - $(stat -c %Z "$tmp/file"))) -gt 2 ]
}

wait_until is_settled
# shellcheck disable=SC2086 # words
"$VAS" clone --private --number 3 "$tmp/file" -- $command $balloon -append "$append" \
	-qmp "unix:$tmp/qmp-@INDEX@,server=on,wait=off" >"$tmp/ref" 2>"$tmp/clones.err" &
clones=$! pid=$!
started="$started $pid"
wait_until is_created
[ -s "$tmp/ref" ] || die "vas clone: $(cat "$tmp/clones.err")"
first=$(head -n 1 "$tmp/ref")

# Of the first clone of that command.
template_of()
{
	qemu_pid=$(cut -d ' ' -f 1 "/proc/$1/task/$1/children")
	template=/proc/$qemu_pid/fd/$(tr '\0' '\n' <"/proc/$qemu_pid/cmdline" |
		sed -n 's,.*mem-path=/proc/self/fd/\([0-9]*\)\,share=off.*,\1,p')
}

template_of "$clones"
sum=$(sha256sum <"$template")
! dd if=/dev/zero of="$template" conv=notrunc bs=4096 count=1 2>/dev/null || die "the template can be written"

# Another command finds what the first has read, as long as the file is what it was.
later()
{
	: >"$tmp/ref-$1"
	# shellcheck disable=SC2046,SC2086 # words
	"$VAS" clone --private "$tmp/file" -- $(echo "$command" | sed "s/@INDEX@/$1/g") $balloon \
		-append "$append" >"$tmp/ref-$1" 2>"$tmp/later.err" &
	pid=$!
	started="$started $pid"
	wait_until is_later "$1"
	[ -s "$tmp/ref-$1" ] || die "vas clone: $(cat "$tmp/later.err")"
}

is_later()
{
	[ -s "$tmp/ref-$1" ] || ! kill -0 "$pid" 2>/dev/null
}

inode=$(stat -L -c %d:%i "$template")
later 3
fourth=$pid
template_of "$fourth"
is_equal "$(stat -L -c %d:%i "$template")" "$inode" "the template of a later command"
counts_on "$tmp/clone-3" "$at"
touch "$tmp/file"
later 4
template_of "$pid"
[ "$(stat -L -c %d:%i "$template")" != "$inode" ] || die "a file that was changed has the old template"
end "$pid"
template_of "$clones"

all_count_on()
{
	for clone in 0 1 2 3; do
		counts_on "$tmp/clone-$clone" "$(last "$tmp/clone-$clone")"
		is_gapless "$tmp/clone-$clone" 0
	done
	is_equal "$(sha256sum <"$template")" "$sum" "the template"
}

for clone in 0 1 2; do
	counts_on "$tmp/clone-$clone" "$at"
done
all_count_on
# Each of them has been told that it is another guest now than it was.
fork="crng reseeded due to virtual machine fork"
for clone in 0 1 2; do
	wait_until grep -q "$fork" "$tmp/clone-$clone"
done
! grep "$fork" "$tmp/serial" || die "the original is no clone"
echo "fill $((mib / 2))" >"$tmp/pipe-0.in"
wait_until grep -q "fill: $((mib / 2)) MiB" "$tmp/clone-0"
all_count_on
python3 "$(dirname "$0")/ask_qemu.py" "$tmp/qmp-0" balloon $((mib / 2)) || die "$(cat "$tmp/clones.err")"
all_count_on

# Its memory is out of reach, and is said to be; what needs none of it works.
expect 4 read "$first" 0 16 --hex
err_has "it is local to the owner's process"
expect 3 snapshot "$first" "$tmp/of-a-clone"
err_has "its memory is its QEMU's own"
[ ! -e "$tmp/of-a-clone" ] || die "there is a snapshot"
expect 0 pause "$first"
was=$(last "$tmp/clone-0")
counts_on "$tmp/clone-1" "$(last "$tmp/clone-1")"
is_equal "$(last "$tmp/clone-0")" "$was"
expect 0 resume "$first"
all_count_on
# Who took it from another command keeps it when that ends.
end "$clones"
counts_on "$tmp/clone-3" "$(last "$tmp/clone-3")"
is_gapless "$tmp/clone-3" 0
end "$fourth"
wait_until run_folder_is_empty
