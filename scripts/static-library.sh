#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A static library that defines for others what the shared one exports, and nothing else: its objects
# become one, in which hidden symbols are local. usage: static-library.sh OUTPUT INPUT CC...
set -eu

output=$1 input=$2
shift 2
object=$output.o
"$@" -r -nostdlib -o "$object" -Wl,--whole-archive "$input" -Wl,--no-whole-archive
"$("$@" -print-prog-name=objcopy)" --localize-hidden "$object"
rm -f "$output"
"${AR:-ar}" rcs "$output" "$object"
rm -f "$object"
