#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Compile core/ without a C library, link it with itself, and fail if a symbol is left undefined.
set -eu
cc=$1 top=$2 out=$3
shift 3
"$cc" -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib -fno-builtin -fno-stack-protector \
	-I"$top/include" -I"$top" -r -o "$out" "$@"
undefined=$(nm -u "$out")
[ -z "$undefined" ] || { echo "core/ is not freestanding: $undefined" >&2; exit 1; }
