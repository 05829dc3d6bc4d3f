#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# One line a piece of guest-physical space: full, part, none; holes are one line. ASCII where UTF-8 is not.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --region 0:2M:low --region 1G:1M:high
"$VAS" fill "$mine" 0 1M 1
"$VAS" write "$mine" 0x40000000 --string x
LC_ALL=C
export LC_ALL
expect 0 map "$mine" --cell 64K
out_has "$mine: 3 MiB in 2 regions, 1 MiB resident (33 %)"
out_has "  0x0 |################................| low"
out_has "0x40000000 |-...............                | high"
out_has "1022 MiB of nothing"
out_has "each character is 64 KiB"
! LC_ALL=C grep -q '[^ -~]' "$tmp/out" || die "not ASCII"
LC_ALL=C.UTF-8
expect 0 map "$mine" --cell 64K
out_has "▕████████████████················▏ low"
out_has "▕░···············                ▏ high"

expect 0 map "$mine" --json --cell 512K
is_equal "$(json "j['cell'], j['size'], j['resident']")" "(524288, 3145728, 1052672)"
is_equal "$(json "[(r['gpa'], r['resident'][:5]) for r in j['rows']]")" \
	"[(0, [524288, 524288, 0, 0, None]), (1073741824, [4096, 0, None, None, None])]"
expect 0 map "$mine"

# As a drawing: whatever regions are called, with what lies where.
create "$mine-drawn" --region '0:2M:low' --region '1G:1M:a<b&c'
"$VAS" fill "$mine-drawn" 0 1M 1
expect 0 map "$mine-drawn" --svg --cell 16K
python3 - "$tmp/out" <<-'END' || die "$ran: not as it must be: $(cat "$tmp/out")"
	import sys, xml.etree.ElementTree as tree
	svg = tree.parse(sys.argv[1]).getroot()
	name = "{http://www.w3.org/2000/svg}"
	texts = [text.text for text in svg.iter(name + "text")]
	assert "1022 MiB of nothing" in texts and "0x40000000" in texts and "a<b&c" in texts, texts
	titles = [title.text for title in svg.iter(name + "title")]
	assert titles == ["low: 2 MiB from gpa 0x0, backing 0, offset 0x0",
	                  "a<b&c: 1 MiB from gpa 0x40000000, backing 0, offset 0x40000000"], titles
	bars = [(bar.get("width"), bar.get("fill-opacity")) for bar in svg.iter(name + "rect")
	        if bar.get("fill-opacity")]
	assert bars == [("384", "1.000"), ("384", "0.150"), ("384", "0.150")], bars
	low, high = (float(side) for side in svg.get("viewBox").split()[2:])
	for bar in svg.iter(name + "rect"):
	    assert float(bar.get("x") or 0) + float(bar.get("width")) <= low, bar.attrib
	    assert float(bar.get("y") or 0) + float(bar.get("height")) <= high, bar.attrib
END
expect 2 map "$mine-drawn" --svg --json
err_has "choose one"
