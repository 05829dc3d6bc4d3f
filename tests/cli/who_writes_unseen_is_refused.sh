#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Memory that a process writes to without taking part in it is not saved and not sent: who has it mapped is
# named before, who wrote by an fd afterwards, and there is no file. --force saves all the same.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

# writer HOW: a process that keeps two counters equal, by a map or by an fd: $writer. A headless one's first thread
# has ended.
writer()
{
	rm -f "$tmp/writes"
	python3 - "$1" "$tmp/writes" 5<>"$file" 9>&- <<-'END' &
	import ctypes, os, sys, threading, time
	fd = 5
	libc = ctypes.CDLL(None)
	headless = sys.argv[1].startswith("headless-")
	how = sys.argv[1].removeprefix("headless-")
	if how == "sleep":
	    open(sys.argv[2], "w").close()
	    time.sleep(3600)
	if how == "map":
	    libc.mmap.restype = ctypes.c_void_p
	    memory = libc.mmap(None, ctypes.c_size_t(1 << 20), 3, 1, fd, ctypes.c_long(0))
	    os.close(fd)
	def write():
	    n = 0
	    while True:
	        n += 1
	        word = n.to_bytes(8, "little")
	        if how == "map":
	            ctypes.memmove(memory, word, 8)
	            ctypes.memmove(memory + 0x80000, word, 8)
	        else:
	            os.pwrite(fd, word, 0)
	            os.pwrite(fd, word, 0x80000)
	        if n == 100:
	            open(sys.argv[2], "w").close()
	if headless:
	    threading.Thread(target=write).start()
	    libc.syscall({"x86_64": 60}.get(os.uname().machine, 93), 0)  # this thread alone
	write()
	END
	writer=$!
	started="$started $writer"
	wait_until test -e "$tmp/writes"
}

end_writer()
{
	kill "$writer"
	wait "$writer" || true
}

refuses()
{
	expect 3 "$@"
	err_has "$words"
	[ ! -e "$tmp/snapshot" ] || die "$ran: there is a file"
}

create "$mine" --memory 64M
file=/proc/self/fd/9
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
for owner in held gone; do
	for how in headless-map headless-fd; do
		writer $how
		words="rocess $writer (python3)"
		refuses snapshot "$mine" "$tmp/snapshot"
		end_writer
	done

	writer map
	words="mapped by process $writer (python3), which may write to it and cannot be stopped"
	refuses snapshot "$mine" "$tmp/snapshot"
	words="mapped by process $writer (python3)"
	expect 3 send "$mine" "$tmp/stream"
	err_has "$words"
	# It has no fd, and is shown.
	expect 0 ls --json
	is_equal "$(json "[h['fd'] for v in j for h in v['holders'] if h['pid'] == $writer]")" "[None]"
	expect 0 ls
	out_has "$writer python3"
	expect 0 snapshot --force "$mine" "$tmp/snapshot"
	err_has "what it writes meanwhile may be torn"
	rm "$tmp/snapshot"
	end_writer

	writer fd
	words="process $writer (python3) has an fd of it and ran meanwhile"
	refuses snapshot "$mine" "$tmp/snapshot"
	expect 3 send "$mine" "$tmp/stream"
	err_has "$words"
	expect 0 snapshot --force "$mine" "$tmp/snapshot"
	rm "$tmp/snapshot"
	end_writer

	# Who has an fd and sleeps writes nothing.
	writer sleep
	expect 0 snapshot "$mine" "$tmp/snapshot"
	rm "$tmp/snapshot"
	end_writer

	[ "$owner" = held ] || break
	kill -KILL "$pid"
	wait "$pid" || true
done
