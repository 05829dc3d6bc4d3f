#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Regular expressions are found wherever buffers and regions end, and cost a bounded amount.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --region 0:3M --region 3M:1M --region 8M:1M
run_vas find "$mine" --regex x
if grep -q "built without PCRE2" "$tmp/err"; then
	is_equal "$code" 3
	skip "no PCRE2"
fi
# Over the ends of buffers and of a region, where all of the memory is there.
expect 0 fill "$mine" 0 4M 0xee
for gpa in 0 0xffffa 0x1ffff8 0x2fffff 0x3ffff7; do
	expect 0 write "$mine" $gpa --string "user=ab12"
done
expect 0 write "$mine" 0x800000 --string "user=zz9"
expect 0 find "$mine" --regex 'user=[a-z]+[0-9]+'
out_is "0x0
0xffffa
0x1ffff8
0x2fffff
0x3ffff7
0x800000"
expect 0 find "$mine" --regex 'user=[a-z]+[0-9]+' --count
out_is 6
expect 0 write "$mine" 0x5000 --hex 0a666f6f0a
expect 0 find "$mine" --regex '^FOO$' -i
out_is 0x5001
expect 1 find "$mine" --regex '^FOO$'
expect 0 find "$mine" --regex '\x0a(?=foo)' --context 2
is_equal "$(sed -n 1p "$tmp/out")" 0x5000
# What is before the range, or elsewhere, is no begin of a line.
expect 1 find "$mine" --regex '^user'
expect 0 find "$mine" --regex 'foo' --json
is_equal "$(json "[m['gpa'] for m in j['matches']]")" "[$((0x5001))]"

# Against Python, over random bytes.
seed=${SEED:-$(date +%s)}
echo "seed $seed"
python3 - "$seed" "$tmp" <<'END'
import random, re, sys

random.seed(int(sys.argv[1]))
data = bytes(random.choices(b"ab\n", k=3 << 20))
open(sys.argv[2] + "/data", "wb").write(data)
with open(sys.argv[2] + "/wanted", "w") as file:
    for match in re.finditer(rb"\ba{7}b{3,5}(?!b)|^b{10}a*$", data, re.M):
        print(hex(match.start()), file=file)
END
expect 0 write "$mine" 0 --file "$tmp/data"
expect 0 find "$mine" --regex '\ba{7}b{3,5}(?!b)|^b{10}a*$' --range 0:3M
cmp "$tmp/out" "$tmp/wanted"

# A guest cannot make it last.
expect 0 fill "$mine" 0 1M 0x61
expect 3 find "$mine" --regex '(a+)+(a+)+(a+)+b' --range 0:1M
err_has "too much work"

expect 2 find "$mine" --regex 'a('
err_has "at character 3"
expect 2 find "$mine" --regex a text
err_has "goes with no other pattern"
