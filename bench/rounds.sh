#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# The picture in the README: 'vas send' of a vas that somebody writes to all the while, round by round.
# Prints a line a round; with gnuplot it also draws. See bench/README.md.
set -eu

usage()
{
	cat <<'EOT'
Usage: rounds.sh [OPTION...] [SVG]

  --memory MIB     size of the vas, all of it touched (default: 512)
  --rate MIB       a second, for the link (default: 200)
  --downtime MS    for the last round (default: 20)
EOT
}

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
vas=${VAS:-$root/build/cli/vas}
memory=512 rate=200 downtime=20 svg=
while [ $# -gt 0 ]; do
	case $1 in
	--memory | --rate | --downtime)
		[ $# -gt 1 ] || {
			usage >&2
			exit 2
		}
		case $1 in
		--memory) memory=$2 ;;
		--rate) rate=$2 ;;
		--downtime) downtime=$2 ;;
		esac
		shift
		;;
	--help)
		usage
		exit
		;;
	-*)
		usage >&2
		exit 2
		;;
	*) svg=$1 ;;
	esac
	shift
done

tmp=$(mktemp -d)
started=
clean_up()
{
	for process in $started; do
		kill "$process" 2>/dev/null || true
		wait "$process" 2>/dev/null || true
	done
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

wait_until()
{
	deadline=$(($(date +%s) + 30))
	until "$@"; do
		[ "$(date +%s)" -lt "$deadline" ] || {
			echo "rounds.sh: never came true: $*" >&2
			exit 1
		}
		sleep 0.02 # between two looks
	done
}

# Memory that outlives its owner: then this command may send it.
"$vas" create --name rounds --memory "${memory}M" >"$tmp/ref" &
started=$!
wait_until test -s "$tmp/ref"
ref=$(cat "$tmp/ref")
exec 9<>"/proc/${ref%/*}/fd/${ref#*/}"
kill -KILL "$started"
wait "$started" 2>/dev/null || true
started=
"$vas" fill fd:9 0 "${memory}M" 1

# The writer: 1 MiB at a time, all over the memory, as fast as it goes, until the vas is frozen or gone.
write_on()
{
	at=0 byte=2
	while "$vas" fill fd:9 "${at}M" 1M "$byte" 2>/dev/null; do
		at=$(((at + 397) % memory))
		byte=$((byte % 250 + 1))
	done
}

"$vas" receive "unix:$tmp/sock" >"$tmp/new" 2>"$tmp/receive.log" &
started=$!
wait_until test -S "$tmp/sock"
write_on &
started="$started $!"
"$vas" send --json --rate "${rate}M" --downtime "$downtime" fd:9 "unix:$tmp/sock" >"$tmp/progress" 2>"$tmp/send.log" || {
	cat "$tmp/send.log" "$tmp/receive.log" >&2
	exit 1
}
cat "$tmp/send.log" >&2

# From records to rounds: a round begins where the one before ended.
python3 - "$tmp/progress" "$tmp/left" "$tmp/frozen" <<'EOT'
import json
import sys

records = [json.loads(line) for line in open(sys.argv[1])]
rounds, begin_s, begin_sent = {}, 0, 0
for record in records:
    rounds.setdefault(record['round'], []).append(record)
with open(sys.argv[2], 'w') as left, open(sys.argv[3], 'w') as frozen:
    for number, points in sorted(rounds.items()):
        end = points[-1]
        size, end_s = end['sent'] - begin_sent, end['elapsed_ns'] / 1e9
        out = frozen if end['frozen'] else left
        print('%.3f %.2f' % (begin_s, size / 2**20), file=out)
        for point in points:
            print('%.3f %.2f' % (point['elapsed_ns'] / 1e9, point['left'] / 2**20), file=out)
        print(file=out)
        print('round %2d: %8.1f MiB in %7.1f ms%s' %
              (number, size / 2**20, (end_s - begin_s) * 1e3, ', writers stopped' if end['frozen'] else ''))
        begin_s, begin_sent = end_s, end['sent']
EOT

[ -n "$svg" ] || exit 0
command -v gnuplot >/dev/null || {
	echo "rounds.sh: gnuplot is not installed" >&2
	exit 77
}
gnuplot <<EOT >"$tmp/rounds.svg"
set terminal svg size 800,300 dynamic font "sans-serif,13" background "white"
set xlabel "seconds since 'vas send' began"
set ylabel "MiB left in this round"
set xrange [0:]
set yrange [0:]
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set key top right
set style fill solid 0.25 noborder
plot "$tmp/left" with filledcurves y1=0 lc rgb "#1f77b4" notitle, \
	"$tmp/left" with lines lw 2 lc rgb "#1f77b4" title "the vas is written to meanwhile", \
	"$tmp/frozen" with filledcurves y1=0 lc rgb "#d62728" notitle, \
	"$tmp/frozen" with lines lw 3 lc rgb "#d62728" title "the last round: writers stopped"
EOT
{
	head -n 1 "$tmp/rounds.svg"
	echo '<!-- SPDX-License-Identifier: GPL-2.0-only OR MIT -->'
	echo '<!-- made by bench/rounds.sh -->'
	tail -n +2 "$tmp/rounds.svg"
} >"$svg"
