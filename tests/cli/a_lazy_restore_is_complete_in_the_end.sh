#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What vas restore --lazy prints at once can be read at once, and is all there when it says so.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need cmp

# hold COMMAND...: in the background; $ref is what it prints first
hold()
{
	: >"$tmp/ref"
	"$VAS" "$@" >"$tmp/ref" 2>"$tmp/hold.err" &
	pid=$!
	started="$started $pid"
	wait_until is_created
	ref=$(head -n 1 "$tmp/ref")
	[ -n "$ref" ] || die "vas $*: $(cat "$tmp/hold.err")"
}

create "$mine" --memory 256M
head -c 40000000 /dev/urandom >"$tmp/bytes"
"$VAS" write "$ref" 1M <"$tmp/bytes"
"$VAS" write "$ref" 200M <"$tmp/bytes"
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
kill -KILL "$pid"
wait "$pid" || true
expect 0 snapshot fd:9 "$tmp/snapshot"
exec 9<&-

hold restore --lazy "$tmp/snapshot"
"$VAS" read "$ref" 200M 40000000 --raw | cmp - "$tmp/bytes"
wait_until grep -q "is there" "$tmp/hold.err"
expect 0 info "$ref" --json
is_equal "$(json "j['lazy']")" 0
# Now the bare file has it too.
dd if="/proc/${ref%/*}/fd/${ref#*/}" bs=1M skip=1 count=38 2>/dev/null | cmp -n 39000000 - "$tmp/bytes"
end "$pid"
is_equal "$code" 0

# Clones: each its own, and little of it there.
hold clone --number 3 "$tmp/snapshot"
wait_until grep -q . "$tmp/ref"
is_three() { [ "$(wc -l <"$tmp/ref")" = 3 ]; }
wait_until is_three
refs=$(cat "$tmp/ref")
n=0
for ref in $refs; do
	n=$((n + 1))
	printf 'clone %d' $n | "$VAS" write "$ref" 1M
done
n=0
for ref in $refs; do
	n=$((n + 1))
	expect 0 read "$ref" 1M 7 --raw
	out_is "clone $n"
	"$VAS" read "$ref" 200M 100000 --raw | cmp -n 100000 - "$tmp/bytes"
	expect 0 info "$ref" --json
	json "j['lazy'] > 70000000 and j['resident'] < 2000000" | grep -qx True
done
expect 0 info "$ref"
out_has "not filled yet"
end "$pid"
is_equal "$code" 0

# A damaged page is told of, by whoever meets it.
printf damage | dd of="$tmp/snapshot" bs=1 seek=30000000 conv=notrunc 2>/dev/null
hold restore --lazy "$tmp/snapshot"
wait_until grep -q "damaged" "$tmp/hold.err"
"$VAS" read "$ref" 200M 40000000 --raw | cmp - "$tmp/bytes"
run_vas read "$ref" 1M 40000000 --raw
is_equal "$code" 4
err_has "damaged"
end "$pid"
is_equal "$code" 4
expect 2 clone --number 0 "$tmp/snapshot"
err_has "1 to 1024"
expect 3 clone "$tmp/bytes"
err_has "no snapshot"
