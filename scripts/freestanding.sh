#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Compile core/ without a C library, link it with itself, and fail if a symbol is left undefined.
# usage: freestanding.sh TOP OUTPUT CC... [OPTION...] SOURCE...
set -eu
top=$1 out=$2
shift 2
"$@" -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib -fno-builtin -fno-stack-protector \
	-I"$top/include" -I"$top" -r -o "$out"
undefined=$(nm -u "$out")
[ -z "$undefined" ] || { echo "core/ is not freestanding: $undefined" >&2; exit 1; }
