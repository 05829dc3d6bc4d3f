#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# While memory is read --frozen, nobody writes: not before all of it is out, and not if its reader is slow.
# Who writes goes on afterwards, also when the command is killed.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
mkfifo "$tmp/fifo"

# read_slowly: $reader waits, in the middle of the memory, until fd 3 is read on
read_slowly()
{
	"$VAS" read "$mine" 0 8M --raw --frozen >"$tmp/fifo" 2>"$tmp/read.err" &
	reader=$!
	started="$started $reader"
	exec 3<"$tmp/fifo"
	[ "$(head -c 1 <&3)" = x ] || die "$(cat "$tmp/read.err")"
}

# Who writes meanwhile is told that it is frozen, and may try again.
write_at_the_end()
{
	until "$VAS" write "$mine" 0x7fffff --string "$1" 2>>"$tmp/write.err"; do :; done
}

create "$mine" --memory 8M
expect 0 fill "$mine" 0 8M 0x78
read_slowly
write_at_the_end y &
writer=$!
started="$started $writer"
cat <&3 >"$tmp/rest"
wait "$reader" || die "$(cat "$tmp/read.err")"
tr -d x <"$tmp/rest" >"$tmp/others"
[ ! -s "$tmp/others" ] || die "somebody wrote meanwhile: $(cat "$tmp/others")"
wait "$writer" || die "$(cat "$tmp/write.err")"
expect 0 read "$mine" 0x7fffff 1 --raw
out_is y

read_slowly
kill -KILL "$reader"
wait "$reader" || true
write_at_the_end z
for verb in "find $mine zx" "find $mine --regex z" "dump $mine"; do
	# shellcheck disable=SC2086 # words
	run_vas $verb --frozen
	case $verb in
	*regex*) grep -q "built without PCRE2" "$tmp/err" || out_has 0x7fffff ;;
	find*) is_equal "$code" 1 ;;
	*) [ "$(tail -c 1 "$tmp/out")" = z ] || die "$verb: $(cat "$tmp/err")" ;;
	esac
done

# Who has it mapped, and can neither be stopped nor asked, is in the way.
need python3
python3 -c '
import mmap, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 4096)
print(1, flush=True)
sys.stdin.read()' "/proc/${ref%/*}/fd/${ref#*/}" <"$tmp/fifo" >"$tmp/mapped" &
started="$started $!"
exec 4>"$tmp/fifo"
wait_until test -s "$tmp/mapped"
expect 3 read "$mine" 0 1 --frozen
err_has "may write to it and cannot be stopped: end it"
expect 0 read "$mine" 0 1 --raw
exec 4>&-
