#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A device starts as QEMU's conventions for back ends say: it tells what it can, and is given the path of
# a socket, or a socket, which listens or is connected. Or it connects, and again when its front end has gone.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

truncate -s 1M "$tmp/disk"
ln -s "$VAS" "$tmp/vas-vhost-user-blk"
ln -s "$VAS" "$tmp/vas-vhost-user-floppy"
back_end=$tmp/vas-vhost-user-blk

# By the name, and by vas device; whatever else is said.
for kind in blk:block console:console net:net rng:rng vsock:vsock; do
	expect 0 device ${kind%:*} --fd=77 --print-capabilities --no-such-option
	is_equal "$(json 'j["type"]')" ${kind#*:}
done
"$back_end" --print-capabilities >"$tmp/out"
is_equal "$(json 'j["type"], sorted(j["features"])')" "('block', ['blk-file', 'read-only'])"
! "$tmp/vas-vhost-user-floppy" --print-capabilities 2>"$tmp/err" || die "it has a floppy"
err_has "there is no device 'floppy'"

# A front end that asks for the features, and goes. It connects to a path, or listens there; or starts the
# command that follows, which has one end of a pair, or a socket that listens, as the fd FD in its words.
cat >"$tmp/front_end.py" <<-'END'
	import socket, struct, subprocess, sys
	def ask(sock):
	    sock.sendall(struct.pack("<III", 1, 1, 0)) # GET_FEATURES
	    answer = sock.recv(20, socket.MSG_WAITALL)
	    assert struct.unpack("<III", answer[:12]) == (1, 5, 8), answer
	    assert struct.unpack("<Q", answer[12:])[0] >> 32 & 1 # VERSION_1
	    sock.close()
	def listening(path):
	    sock = socket.socket(socket.AF_UNIX)
	    sock.bind(path)
	    sock.listen()
	    return sock
	def connected(path):
	    sock = socket.socket(socket.AF_UNIX)
	    sock.connect(path)
	    return sock
	def begin(sock):
	    words = [word.replace("FD", str(sock.fileno())) for word in sys.argv[3:]]
	    return subprocess.Popen(words, pass_fds=[sock.fileno()])
	how, path = sys.argv[1:3]
	if how == "connect":
	    ask(connected(path))
	elif how == "listen":
	    sock = listening(path)
	    for _ in range(3):
	        ask(sock.accept()[0])
	elif how == "pair":
	    ours, its = socket.socketpair()
	    child = begin(its)
	    its.close()
	    ask(ours)
	    sys.exit(child.wait())
	else:
	    child = begin(listening(path))
	    for _ in range(3):
	        ask(connected(path))
	    child.terminate()
	    sys.exit(child.wait())
END
front_end()
{
	python3 "$tmp/front_end.py" "$@" || die "front end: $*"
}

"$back_end" --socket-path="$tmp/sock" --blk-file="$tmp/disk" --read-only &
pid=$!
started="$started $pid"
wait_until test -S "$tmp/sock"
front_end connect "$tmp/sock"
end "$pid"
is_equal "$code" 0

front_end pair - "$back_end" --fd=FD --blk-file="$tmp/disk"
front_end listening "$tmp/inherited" "$back_end" --fd=FD --blk-file="$tmp/disk"

# Nobody listens at first; then somebody does, and once more.
"$VAS" device blk --connect="$tmp/vmm" --path="$tmp/disk" &
pid=$!
started="$started $pid"
front_end listen "$tmp/vmm"
rm "$tmp/vmm"
front_end listen "$tmp/vmm"
kill -0 "$pid" || die "it has ended with its front end"
end "$pid"
is_equal "$code" 0
