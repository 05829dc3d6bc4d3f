#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What the headers declare, the map lists, the shared library exports and the static one defines is the
# same. usage: SCRIPT SOURCE-DIR MAP SHARED STATIC HEADER...
set -eu

source=$1 map=$2 shared=$(realpath "$3") static=$(realpath "$4")
shift 4
cd "$source"
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

scripts/symbols.py headers "$@" >"$temp/headers"
[ "$(wc -l <"$temp/headers")" -ge 4 ]
scripts/symbols.py map "$map" >"$temp/map"
scripts/symbols.py shared "$shared" >"$temp/shared"
scripts/symbols.py static "$static" >"$temp/static"
for side in map shared static; do
	diff -u --label headers "$temp/headers" --label $side "$temp/$side"
done
