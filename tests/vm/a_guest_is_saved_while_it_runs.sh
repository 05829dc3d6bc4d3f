#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A Linux guest that counts, checks its memory and writes all the time is saved while it runs, and so does a process
# that is bound to its vas: from each file it goes on with the next number, its memory and that process's as they were
# when both stood. A command that is killed leaves the guest as it was.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"
# shellcheck source-path=SCRIPTDIR source=churning.sh
. "$(dirname "$0")/churning.sh"
need python3

# save FILE OPTION...: $before is a number that was there before
save()
{
	file=$1
	shift
	before=$(last "$serial")
	expect 0 snapshot "$@" "$mine" "$file"
	counts_on "$serial" "$(last "$serial")"
	kill -0 "$binder" || die "the binder: $(cat "$tmp/binder.err")"
}
save "$tmp/full"
from_full=$before
save "$tmp/child" --parent "$tmp/full"
from_child=$before
save "$tmp/standing" --standing
from_standing=$before
grep -aq with-ram "$tmp/full" || die "it was saved while it stood"
grep -aq with-ram "$tmp/child" || die "it was saved while it stood"
! grep -aq with-ram "$tmp/standing" || die "it was not saved while it stood"

# Killed in the midst of it, wherever that is; and what failed leaves no file.
for delay in 0.05 0.1 0.2 0.4; do
	"$VAS" snapshot "$mine" "$tmp/killed" 2>/dev/null &
	pid=$!
	sleep $delay # the moment of the kill: any will do
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" || true
	counts_on "$serial" "$(last "$serial")"
done
expect 3 snapshot --disks false "$mine" "$tmp/failed"
[ ! -e "$tmp/failed" ] || die "it is there"
counts_on "$serial" "$(last "$serial")"
save "$tmp/after"
from_after=$before
is_gapless "$serial" 1
kill "$binder"
wait "$binder" || die "the binder: $(cat "$tmp/binder.err")"
end "$guest"
is_equal "$code" 0 "QEMU ends by SIGTERM with 0"

# goes_on_from FILE BEFORE VERB OPTION...: the number is a later one, and then the next
goes_on_from()
{
	file=$1 from=$2
	shift 2
	rm -f "$tmp/again"
	qemu "$tmp/again"
	: >"$tmp/ref"
	# shellcheck disable=SC2086 # words
	"$VAS" "$@" "$file" -- $command -append "$append" >"$tmp/ref" 2>"$tmp/restore.err" &
	pid=$!
	started="$started $pid"
	wait_until is_created
	[ -s "$tmp/ref" ] || die "vas $*: $(cat "$tmp/restore.err")"
	ref=$(cat "$tmp/ref")
	counts_on "$tmp/again" "$from"
	is_gapless "$tmp/again" 0
}

# The page of who was bound is of one moment.
is_whole()
{
	expect 0 read "$ref" 0x1000000000 4096 --raw
	python3 - "$tmp/out" <<-END || die "the page is torn"
		import struct, sys
		words = struct.unpack("<512Q", open(sys.argv[1], "rb").read())
		sys.exit(any(word != words[0] + i for i, word in enumerate(words)))
	END
}
goes_on_from "$tmp/full" "$from_full" restore
is_whole
end "$pid"
goes_on_from "$tmp/child" "$from_child" restore
is_whole
end "$pid"
goes_on_from "$tmp/standing" "$from_standing" restore
is_whole
end "$pid"
goes_on_from "$tmp/after" "$from_after" clone --private
end "$pid"
wait_until run_folder_is_empty
