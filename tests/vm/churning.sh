# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A guest of 'vas run' that counts in $serial and writes 20 MiB/s: $guest; and a process that is bound
# to its vas, at $ref, and writes to a page at 0x1000000000 all the time: $binder. To be sourced after
# counting.sh.
#
#	went_in_rounds		'vas send --json' says so in $tmp/progress

# In more than one, and what was sent when it stood is the smaller part.
went_in_rounds()
{
	python3 - "$tmp/progress" <<-END || die "it stood: $(cat "$tmp/progress")"
		import json, sys
		told = [json.loads(line) for line in open(sys.argv[1])]
		runs = [line for line in told if not line["frozen"]]
		before, after = runs[-1], told[-1]
		sys.exit(before["round"] < 1 or not after["frozen"] or before["sent"] < $((mib << 19)) or
			 after["sent"] - before["sent"] > before["sent"] / 2)
	END
}

need python3
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
