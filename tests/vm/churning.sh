# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A guest of 'vas run' that counts in $serial and writes 20 MiB/s: $guest; and a process that is bound
# to its vas, at $ref, and writes to a page at 0x1000000000 all the time: $binder. To be sourced after
# counting.sh.
make_guest
qemu null
mkfifo "$tmp/pipe.in" "$tmp/pipe.out"
cat "$tmp/pipe.out" >"$tmp/serial" &
started="$started $!"
serial=$tmp/serial
piped=$(echo "$command" | sed "s,-serial file:null,-serial pipe:$tmp/pipe,")
# shellcheck disable=SC2086 # words
"$VAS" run --name "$mine" --region 64G:1M:scratch -- $piped -append "$append" >"$tmp/run.out" 2>"$tmp/run.err" &
guest=$!
started="$started $guest"
counts_on "$serial" 0
echo "churn 20" >"$tmp/pipe.in"
has_churned()
{
	grep -q "churn: 20" "$serial"
}
wait_until has_churned
ref=$(sed -n 's/^vas run: .* = \([0-9]*\/[0-9]*\) is the memory.*/\1/p' "$tmp/run.err")
"$BUSY_BINDER" "/proc/${ref%/*}/fd/${ref#*/}" 0x1000000000 >"$tmp/binder.out" 2>"$tmp/binder.err" &
binder=$!
started="$started $binder"
