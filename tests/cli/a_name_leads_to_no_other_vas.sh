#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A process puts now this vas and now another under one number, while the command looks for a name
# and then opens what it has found: it is that vas, or an error.
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
open('ready', 'w').write('x')
while True:
    for fd in kept:
        os.dup2(fd, files[0])
        time.sleep(0.0005)
END
(cd "$tmp" && exec python3 juggle.py "$first" "$ref") &
started="$started $!"
wait_until test -s "$tmp/ready"
for process in $holders; do
	end "$process"
done

# Again and again, until the command comes too late.
came_late()
{
	run_vas info "$mine-wanted" --json
	[ "$code" != 0 ] || [ "$(json "j['uuid']")" != "$uuid" ]
}
wait_until came_late
[ "$code" != 0 ] || die "$ran: leads to the vas $(json "j['uuid']"), not $uuid"
err_has "closed it: try again"
