#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# plot.sh RECORDS DIR: draws a bench's JSON records with gnuplot. Cases that differ in one number only
# share a chart, with that number along its bottom and a line for each subject; cases without a number are
# drawn as points.
set -eu

records=$1
dir=$2

command -v gnuplot >/dev/null || {
	echo "plot: skipped: no gnuplot"
	exit 0
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One file for each chart and subject, "x median min max" a line, and a list of them:
# chart <tab> subject <tab> unit <tab> file
awk -v work="$work" '
function field(name,    rest) {
	rest = $0
	sub(".*\"" name "\":\"?", "", rest)
	sub("[\",}].*", "", rest)
	return rest
}
{
	nr = split(field("case"), part, "/")
	chart = field("bench")
	x = ""
	for (i = 1; i <= nr; i++) {
		if (x == "" && part[i] ~ /^[0-9]+$/)
			x = part[i]
		else
			chart = chart "-" part[i]
	}
	subject = field("subject")
	file = work "/" chart "@" subject
	if (!(file in seen))
		print chart "\t" subject "\t" field("unit") "\t" file
	seen[file] = 1
	print (x == "" ? 1 : x), field("median"), field("min"), field("max") >file
}' "$records" >"$work/list"

cut -f 1 "$work/list" | sort -u | while read -r chart; do
	{
		echo "set terminal svg size 800,400 dynamic font \"sans-serif,13\" background \"white\""
		echo "set output '$dir/$chart.svg'"
		echo "set title '$chart' noenhanced"
		echo "set key left top noenhanced"
		echo "set logscale xy"
		echo "set grid"
		awk -F '\t' -v chart="$chart" '
		$1 == chart {
			if (!nr++)
				printf "set ylabel \"%s\"\nplot ", $3
			else
				printf ", "
			printf "\"%s\" using 1:2:3:4 with yerrorlines title \"%s\"", $4, $2
		}
		END { print "" }' "$work/list"
	} | gnuplot
	sed -i '1a <!-- SPDX-License-Identifier: GPL-2.0-only OR MIT -->\n<!-- made by bench/plot.sh -->' "$dir/$chart.svg"
	echo "plot: $dir/$chart.svg"
done
