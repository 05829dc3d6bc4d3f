#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The README's program compiles as it stands, and does what it says. usage: SCRIPT SOURCE-DIR BUILD-DIR
set -eu

source=$1 build=$2
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

awk '/^```$/ { inside = 0 } inside; /^```c$/ { inside = 1 }' "$source/README.md" >"$temp/example.c"
[ "$(wc -l <"$temp/example.c")" -gt 10 ]
cc -Wall -Wextra -Werror "$temp/example.c" -o "$temp/example" -I"$source/include" -L"$build/lib" -lvas
got=$(LD_LIBRARY_PATH=$build/lib "$temp/example")
[ "$got" = "hello from gpa 0x1000" ] || {
	echo "got '$got'"
	exit 1
}
