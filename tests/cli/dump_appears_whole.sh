#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A dump is there whole or not at all, whoever ends it, and what was there stays until then.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --memory 128M
expect 0 fill "$mine" 0 128M 1
mkdir "$tmp/folder"
echo before >"$tmp/folder/there"
python3 - "$VAS" "$mine" "$tmp/folder" <<'END'
import os, signal, subprocess, sys

vas, name, folder = sys.argv[1:]

def is_writing(pid):
    """Whether it has a file of the folder open, with something in it."""
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{fd}"
            if os.readlink(path).startswith(folder) and os.stat(path).st_size:
                return True
    except OSError:
        pass
    return False

# It may be done before it is seen at work, but not each time.
for number in [signal.SIGINT, signal.SIGKILL]:
    for _ in range(50):
        dump = subprocess.Popen([vas, "dump", name, "--format", "elf", "-o", folder + "/there"])
        while dump.poll() is None and not is_writing(dump.pid):
            pass
        dump.send_signal(number)
        code = dump.wait()
        if code == -number:
            break
        with open(folder + "/there", "w") as file:
            file.write("before\n")
    assert code == -number, "never seen at work"
    assert open(folder + "/there").read() == "before\n"
    leftovers = set(os.listdir(folder)) - {"there"}
    # Only where a file cannot be without a name: the next dump takes it away.
    assert leftovers <= {"there.unfinished"}, leftovers
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
        assert not leftovers, leftovers
    except OSError:
        print("files have names here")
END
# One that cannot be written leaves nothing.
(
	trap '' XFSZ
	ulimit -f 1000
	expect 3 dump "$mine" -o "$tmp/folder/there"
	err_has "File too large"
)
is_equal "$(cat "$tmp/folder/there")" before
# A link stays a link.
ln -s there "$tmp/folder/link"
expect 0 dump "$mine" -o "$tmp/folder/link"
[ -L "$tmp/folder/link" ] || die "the link is gone"
is_equal "$(stat -c %s "$tmp/folder/there")" $((128 << 20))
is_equal "$(ls "$tmp/folder")" "link
there"
# A file without a name is written to.
exec 8<>"$tmp/nameless"
rm "$tmp/nameless"
expect 0 dump "$mine" -o /dev/fd/8
cmp /dev/fd/8 "$tmp/folder/there"
# Where no file can be is said before any work is done.
for place in "" "$tmp/none/" "$tmp/folder"; do
	expect 3 send "$mine" "$place"
	is_equal "$(grep -c . "$tmp/err")" 1
	expect 3 snapshot "$mine" "$place"
	is_equal "$(grep -c . "$tmp/err")" 1
done
expect 3 dump "$mine" -o ""
err_is "vas dump: cannot make '': No such file or directory"
