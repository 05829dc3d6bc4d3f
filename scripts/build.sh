#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Build everything into build/, or another folder with other meson options: build.sh [DIR OPTION...].
# VAS_TARGETS: what to build, if not everything.
set -eu

dir=${1:-build}
[ $# -eq 0 ] || shift
for tool in meson ninja; do
	command -v $tool >/dev/null || {
		echo "build: $tool is missing; './dev setup' installs what is needed" >&2
		exit 1
	}
done
# One that is there is set up anew for other options than it was made with.
if ! [ -e "$dir/build.ninja" ] || [ "$(cat "$dir/options" 2>/dev/null)" != "$*" ]; then
	again=
	[ ! -e "$dir/build.ninja" ] || again=--reconfigure
	meson setup $again "$dir" -Dwerror=true "$@" >"$dir.log" 2>&1 || {
		cat "$dir.log" >&2
		exit 1
	}
	echo "$*" >"$dir/options"
	rm -f "$dir.log"
fi
# shellcheck disable=SC2086 # words
exec ninja -C "$dir" --quiet ${VAS_TARGETS:-}
