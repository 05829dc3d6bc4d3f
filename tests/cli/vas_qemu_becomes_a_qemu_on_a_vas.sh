#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# vas-qemu is a QEMU for whoever starts one by its path: the process that was started becomes QEMU, with the
# fds that it inherited, on a vas with the guest's name. Whoever holds that has none of those fds, and ends with it.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need qemu-system-x86_64
ln -s "$VAS" "$tmp/vas-qemu"
ln -s "$VAS" "$tmp/vas-qemu-system-x86_64"
ln -s "$VAS" "$tmp/vas-qemu-system-none"

nothing_is_left()
{
	! "$VAS" info "$mine" && [ -z "$(ls -A "$VAS_RUN_DIR")" ]
}

# without a guest, it is QEMU and nothing else
"$tmp/vas-qemu-system-x86_64" -version | grep -q "^QEMU emulator" || die "it does not tell its version"
"$tmp/vas-qemu" -machine help | grep -q q35 || die "it does not tell of its machines"
"$tmp/vas-qemu" -S -nodefaults -display none -machine none,accel=tcg -pidfile "$tmp/probe" -daemonize
probe=$(cat "$tmp/probe")
is_equal "$(cat "/proc/$probe/comm")" qemu-system-x86
kill "$probe"

# what is no guest that it knows ends before a QEMU begins
code=0
"$tmp/vas-qemu" -M isapc 2>"$tmp/err" || code=$?
ran=vas-qemu
is_equal "$code" 2
err_has "-machine isapc: where it has its RAM is not known here"
code=0
"$tmp/vas-qemu-system-none" -M q35 2>"$tmp/err" || code=$?
is_equal "$code" 127
err_has "there is no command 'qemu-system-none'"
wait_until nothing_is_left

# start NAME BACKEND...: with a console that is fd 8 from the start
start()
{
	mkfifo "$tmp/console"
	exec 7<>"$tmp/console"
	exec 8>"$tmp/console"
	"$tmp/vas-qemu" -name "guest=$mine,debug-threads=on" -accel tcg -S -nodefaults -display none -m 64M \
		-add-fd set=1,fd=8 -chardev file,id=c,path=/dev/fdset/1,append=on -device isa-serial,chardev=c \
		-no-user-config "$@" 7>&- 9>&- 2>"$tmp/qemu.err" &
	pid=$!
	started="$started $pid"
	exec 8>&-
	wait_until "$VAS" pause "$mine"
}

for backend in memory-backend-ram,id=own,size=64M \
	'{"qom-type":"memory-backend-file","id":"own","mem-path":"/nowhere/own","share":true,"size":67108864}'; do
	start -M q35,memory-backend=own -object "$backend"
	is_equal "$(cat "/proc/$pid/comm")" qemu-system-x86
	expect 0 write "$mine" 0x1000 --hex "56 41 53"
	expect 0 read "$mine" 0x1000 3 --hex
	expect 0 info "$mine" --json
	holder=$(json "j['owner_pid']")
	[ "$holder" != "$pid" ] || die "QEMU owns the vas"
	! readlink "/proc/$holder"/fd/* | grep -q "$tmp/console" || die "the holder has a fd of QEMU's"
	readlink "/proc/$pid"/fd/* | grep -q "$tmp/console" || die "QEMU does not have its fd"
	end "$pid"
	is_equal "$code" 0 "QEMU ends by SIGTERM with 0"
	wait_until nothing_is_left
	rm "$tmp/console"
done

# killed, it is gone; its exit status is its own
start -M pc
kill -KILL "$pid"
code=0
wait "$pid" || code=$?
is_equal "$code" 137
wait_until nothing_is_left
