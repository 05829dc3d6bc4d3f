#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Every public header compiles alone, as C99 and later and as C++11 and later, without a warning; and a
# program that uses what is inlined does so at each level of optimization.
# usage: SCRIPT INCLUDE-DIR PROGRAM.c
set -eu

include=$1 program=$2
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
warnings='-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Werror'
tried=0

# COMPILER LANGUAGE STANDARD FILE [OPTION...]
compile()
{
	compiler=$1 language=$2 standard=$3 file=$4
	shift 4
	command -v "$compiler" >/dev/null || return 0
	tried=$((tried + 1))
	# shellcheck disable=SC2086 # words
	"$compiler" -x "$language" -std="$standard" $warnings "$@" -I"$include" -c -o "$temp/object" \
		"$file" || {
		echo "$compiler -std=$standard $*: $file"
		exit 1
	}
}

for header in "$include"/vas/*.h; do
	file=$temp/${header##*/}.c
	printf '#include <vas/%s>\nextern int vas_header_is_alone;\n' "${header##*/}" >"$file"
	for compiler in gcc clang; do
		compile "$compiler" c c99 "$file" -O2
		compile "$compiler" c gnu11 "$file" -O0
	done
	for compiler in g++ clang++; do
		compile "$compiler" c++ c++11 "$file" -O2
		compile "$compiler" c++ c++17 "$file" -O0
	done
done
for level in 0 g 1 s 2 3; do
	for compiler in gcc clang; do
		compile "$compiler" c c99 "$program" -O"$level"
	done
	for compiler in g++ clang++; do
		compile "$compiler" c++ c++17 "$program" -O"$level"
	done
done
[ $tried -gt 0 ] || {
	echo "skip: no compiler"
	exit 77
}
