#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A Linux guest that writes all the time, as does a process that is bound to its vas, is sent from one network namespace
# to another while it runs. It stands there as it stood here, with every byte of its memory the same, and goes on.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
[ -n "${IN_THERE-}" ] || exec "$(dirname "$0")/../../scripts/two-networks.sh" "$0" "$@"
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2 port=4711
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
# shellcheck source-path=SCRIPTDIR source=churning.sh
. "$(dirname "$0")/churning.sh"

# Who has but a read-only fd keeps the memory as it is in the end.
exec 9<"/proc/${ref%/*}/fd/${ref#*/}"
expect 0 info "$mine" --json
cp "$tmp/out" "$tmp/here.json"

listens()
{
	grep -q ":$(printf %04X $port) 0*:0000 0A " "/proc/$receiver/net/tcp"
}

qemu "$tmp/there"
: >"$tmp/ref"
# shellcheck disable=SC2086 # words
$IN_THERE "$VAS" receive --paused --wait 600 "tcp:$THERE:$port" -- $command -append "$append" >"$tmp/ref" \
	2>"$tmp/receive.err" &
receiver=$! pid=$!
started="$started $receiver"
wait_until listens
before=$(last "$serial")
"$VAS" send --json --downtime 50 "$mine" "tcp:$THERE:$port" >"$tmp/progress" 2>"$tmp/send.err" ||
	die "vas send: $(cat "$tmp/send.err" "$tmp/receive.err")"
went_in_rounds
wait "$guest" || die "the QEMU that the guest has left: $(cat "$tmp/run.err")"
wait "$binder" || true
! [ -s "$tmp/binder.err" ] || grep -q "in round" "$tmp/binder.err" || die "the binder: $(cat "$tmp/binder.err")"
wait_until is_created
ref=$(cat "$tmp/ref")
[ -n "$ref" ] || die "vas receive: $(cat "$tmp/receive.err")"
expect 0 info "$ref" --json
cp "$tmp/out" "$tmp/there.json"

# Region by region, as both have it.
python3 - "$tmp" "/proc/${ref%/*}/fd/${ref#*/}" <<-END || die "it is not there as it was here"
	import json, os, sys
	STEP = 1 << 20
	def regions(name):
	    with open(f"{sys.argv[1]}/{name}.json", encoding="utf-8") as file:
	        return {r["gpa"]: (r["size"], r["offset"]) for r in json.load(file)["regions"]}
	here, there, fd = regions("here"), regions("there"), os.open(sys.argv[2], os.O_RDONLY)
	others, written = [], 0
	for gpa, (size, offset) in here.items():
	    for at in range(0, size, STEP):
	        was, now = os.pread(9, STEP, offset + at), os.pread(fd, STEP, there[gpa][1] + at)
	        written += len(was) - was.count(0)
	        if was != now:
	            others += [hex(gpa + at + i) for i in range(0, STEP, 4096) if was[i:i + 4096] != now[i:i + 4096]]
	    there.pop(gpa)
	print(f"# {written} bytes are not zero; other pages: {others[:8] or 'none'}")
	sys.exit(bool(others or there or not written))
END
expect 0 read "$ref" 0x1000000000 8 --raw
[ "$(od -An -v -tu8 "$tmp/out" | tr -d ' ')" -gt 0 ] || die "nothing of what the binder wrote has come"

# It stood until now.
[ ! -s "$tmp/there" ] || die "it went on by itself: $(cat "$tmp/there")"
expect 0 resume "$ref"
counts_on "$tmp/there" "$(last "$serial")"
[ "$(last "$serial")" -ge "$before" ] || die "it has not counted before"
cat "$serial" "$tmp/there" >"$tmp/all"
is_gapless "$tmp/all" 1
end "$receiver"
wait_until run_folder_is_empty
