#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A process puts now this vas and now another under one number, while the command looks for a name
# and then opens what it has found, or opens what it reads a second time: it is that vas, or an error.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine-wanted" --memory 1M
first=$ref
holders=$pid
expect 0 info "$mine-wanted" --json
uuid=$(json "j['uuid']")
create "$mine-other" --memory 1M
holders="$holders $pid"

cat >"$tmp/juggle.py" <<'END'
import os, sys, time
files = [os.open('/proc/%s/fd/%s' % tuple(ref.split('/')), os.O_RDWR) for ref in sys.argv[1:]]
kept = [os.dup2(fd, 100 + i) for i, fd in enumerate(files)]
open('ready', 'w').write('%d' % files[0])
while True:
    for fd in kept:
        os.dup2(fd, files[0])
        time.sleep(0.0005)
END
# juggle REF REF: in the background: $juggler
juggle()
{
	rm -f "$tmp/ready"
	(cd "$tmp" && exec python3 juggle.py "$@") &
	juggler=$!
	started="$started $juggler"
	wait_until test -s "$tmp/ready"
}

juggle "$first" "$ref"
for process in $holders; do
	end "$process"
done

# Again and again, until the command comes too late. It may also find nothing under the name.
came_late()
{
	run_vas info "$mine-wanted" --json
	[ "$code" != 0 ] || is_equal "$(json "j['uuid']")" "$uuid" "$ran leads to another vas"
	grep -qF "closed it: try again" "$tmp/err"
}
wait_until came_late
kill "$juggler"

# One of those who have it, the first that is found, now has it and now has not: it is found all the same.
create "$mine-shared" --memory 1M
cat >"$tmp/come_and_go.py" <<'END'
import os, sys, time
path = '/proc/%s/fd/%s' % tuple(sys.argv[1].split('/'))
keeper = os.fork()
if not keeper:
    fd = os.open(path, os.O_RDWR)
    open(sys.argv[2], 'w').write('%d' % fd)
    time.sleep(3600)
while not os.path.exists(sys.argv[2]) or not os.path.getsize(sys.argv[2]):
    time.sleep(0.01)
path = '/proc/%d/fd/%s' % (keeper, open(sys.argv[2]).read())
print(keeper, flush=True)
while True:
    fd = os.open(path, os.O_RDWR)
    time.sleep(0.0005)
    os.close(fd)
    time.sleep(0.0005)
END
python3 "$tmp/come_and_go.py" "$ref" "$tmp/kept" >"$tmp/keeper" &
started="$started $!"
wait_until test -s "$tmp/keeper"
started="$started $(cat "$tmp/keeper")"
end "$pid"
for _ in $(seq 100); do
	expect 0 info "$mine-shared"
done

# Memory that is to come is read by one who may write, so what was looked at is bound once more.
clone()
{
	: >"$tmp/ref"
	"$VAS" clone "$tmp/base" >"$tmp/ref" &
	pid=$!
	started="$started $pid"
	wait_until is_created
	ref=$(cat "$tmp/ref")
}

create "$mine-base" --memory 1M
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
kill -KILL "$pid"
wait "$pid" || true
expect 0 write fd:9 0x1000 --string needle
expect 0 snapshot fd:9 "$tmp/base"
exec 9>&-
clone
first=$ref
clone
juggle "$first" "$ref"
is_refused()
{
	run_vas read "$juggler/$(cat "$tmp/ready")" 0x80000 8
	grep -qF "names another vas by now: try again" "$tmp/err" || return
	is_equal "$code" 1 "$ran"
}
wait_until is_refused
