#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A Linux guest that counts goes over to another QEMU: beside the one that it was in, and after its end where that
# holds what two cannot have. It counts on from the very next number; its vas, its holder and whoever is bound to
# it stay as they are. What goes wrong leaves it in a QEMU like the one before.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"

# The guest's words, with a console that two may have at once, and a disk, which they may as well.
words()
{
	bus=pci
	[ "$machine" != microvm ] || bus=device
	qemu "$1"
	command="${command%%-serial*} -kernel $kernel -initrd $initramfs -drive if=none,id=disk,format=raw,file=$tmp/disk
		-device virtio-blk-$bus,drive=disk -chardev file,id=console,path=$1,append=on -serial chardev:console"
}

# The one child of the holder.
child()
{
	# shellcheck disable=SC2046 # words
	set -- $(cat "/proc/$holder/task/$holder/children")
	is_equal $# 1 "QEMUs of the holder: $*"
	echo "$1"
}

has_one_child()
{
	[ "$(wc -w <"/proc/$holder/task/$holder/children")" = 1 ]
}

# upgrade CODE [-- QEMU...]: the guest goes on, and so does who reads and writes its memory all the time
upgrade()
{
	wanted=$1
	shift
	before=$(child)
	at=$(last "$serial")
	expect "$wanted" upgrade "$mine" "$@"
	counts_on "$serial" "$at"
	kill -0 "$binder" || die "the binder: $(cat "$tmp/binder.err")"
	wait_until has_one_child
	after=$(child)
	is_gapless "$serial" 1
}

is_new()
{
	[ "$before" != "$after" ] || die "it is the same process: $after"
}

is_old()
{
	is_equal "$before" "$after" "QEMU"
}

named()
{
	sed -n 's/^vas run: .* = \([0-9]*\/[0-9]*\) is the memory.*/\1/p' "$tmp/run.err"
}

is_named()
{
	[ -n "$(named)" ]
}

make_guest
truncate -s 1M "$tmp/disk"
serial=$tmp/serial
words "$serial"
# shellcheck disable=SC2086 # words
"$VAS" run --name "$mine" --region 64G:1M:scratch -- $command -append "$append" >"$tmp/run.out" 2>"$tmp/run.err" &
holder=$!
started="$started $holder"
wait_until is_named
ref=$(named)
counts_on "$serial" 0
"$BUSY_BINDER" "/proc/${ref%/*}/fd/${ref#*/}" 0x1000000000 >"$tmp/binder.out" 2>"$tmp/binder.err" &
binder=$!
started="$started $binder"

# Beside it, as it was, as often as one likes, and as the words behind -- say.
for _ in 1 2; do
	upgrade 0
	err_has "it stood for"
	is_new
done
# shellcheck disable=SC2086 # words
upgrade 0 -- $command -append "$append" -name another
is_new
tr '\0' '\n' <"/proc/$after/cmdline" | grep -qx another || die "it was started in another way"

# A QEMU that does not start, takes no such state, or is none.
# shellcheck disable=SC2086 # words
upgrade 3 -- $command -append "$append" -device nothing
is_old
# shellcheck disable=SC2086 # words
upgrade 3 -- $command -append "$append" -smp 1
err_has "does not go on in qemu-system-x86_64"
is_old
upgrade 3 -- true
err_has "is no QEMU"
is_old
# shellcheck disable=SC2086 # words
upgrade 3 -- $command -append "$append" -chardev null,id=charmonitor
err_has "libvirt"
is_old

# The other verbs find it where it is.
expect 0 pause "$mine"
at=$(last "$serial")
expect 0 upgrade "$mine"
is_equal "$(last "$serial")" "$at" "a guest that stands goes over standing"
expect 0 resume "$mine"
counts_on "$serial" "$at"
expect 0 find "$mine" --string "vas_seed=" --max 1

# What two cannot have: one after the other, to it, from it, and when it does not work out.
port=$((20000 + $$ % 20000))
one="-pidfile $tmp/pid -qmp unix:$tmp/qmp,server=on,wait=off
	-netdev user,id=net,hostfwd=tcp:127.0.0.1:$port-:22"
is_open()
{
	grep -qi "0100007F:$(printf %04X "$port") 00000000:0000 0A" /proc/net/tcp
}
# shellcheck disable=SC2086 # words
upgrade 0 -- $command -append "$append" $one
err_has "one QEMU after the other"
is_new
is_open || die "nobody listens at port $port"
upgrade 0
is_new
is_open || die "nobody listens at port $port"
# shellcheck disable=SC2086 # words
upgrade 3 -- $command -append "$append" $one -smp 1
err_has "the guest goes on, in a QEMU that was started like the one before"
is_new
# shellcheck disable=SC2086 # words
upgrade 3 -- $command -append "$append" $one -device nothing
is_new
is_open || die "nobody listens at port $port"
# shellcheck disable=SC2086 # words
upgrade 0 -- $command -append "$append" -netdev user,id=net
is_new
! is_open || die "somebody listens at port $port"

# A console in a file is continued, however QEMU is told of it, and when it does not work out.
# The state has the network in it by now.
net="-netdev user,id=net"
for console in "-serial file:$serial" "-chardev file,id=console,path=$serial -serial chardev:console"; do
	# shellcheck disable=SC2086 # words
	upgrade 0 -- ${command%-chardev file,*} $console $net -append "$append"
	err_has "one QEMU after the other"
	is_new
	# shellcheck disable=SC2086 # words
	upgrade 3 -- ${command%-chardev file,*} $console $net -append "$append" -smp 1
	is_new
done
# shellcheck disable=SC2086 # words
upgrade 0 -- $command $net -append "$append"
is_new

# Who is bound has had no error all the while. The last QEMU is saved as any, and its end is the holder's.
kill "$binder"
wait "$binder" || die "the binder: $(cat "$tmp/binder.err")"
expect 0 snapshot --disks true "$mine" "$tmp/file"
expect 0 restore --show "$tmp/file"
out_has "$tmp/disk"
end "$holder"
is_equal "$code" 0 "QEMU ends by SIGTERM with 0"

# One in the background.
rm "$serial"
# shellcheck disable=SC2086 # words
expect 0 run --name "$mine" -- $command -append "$append" -daemonize
counts_on "$serial" 0
at=$(last "$serial")
expect 0 upgrade "$mine"
counts_on "$serial" "$at"

# Without its holder it goes over as well: this command is the holder then.
kill_holder()
{
	need python3
	expect 0 ls --json
	holder=$(json "next(v['owner_pid'] for v in j if v['name'] == '$mine')")
	kill -KILL "$holder"
}
is_held()
{
	[ -s "$tmp/upgraded" ]
}
kill_holder
at=$(last "$serial")
: >"$tmp/upgraded"
"$VAS" upgrade "$mine" >"$tmp/upgraded" 2>"$tmp/upgrade.err" &
holder=$!
started="$started $holder"
wait_until is_held
counts_on "$serial" "$at"
upgrade_again()
{
	at=$(last "$serial")
	expect 0 upgrade "$mine"
	counts_on "$serial" "$at"
}
upgrade_again
is_gapless "$serial" "$(sed -n 's/^.*count: \([0-9]*\),.*/\1/p' "$serial" | head -n 1)"
end "$holder"
is_equal "$code" 0 "QEMU ends by SIGTERM with 0"
wait_until run_folder_is_empty
