#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What is installed to a prefix runs from there, with the libraries beside it, without ldconfig.
# usage: SCRIPT BUILD-DIR
set -eu

build=$1
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

DESTDIR=$temp meson install -C "$build" --no-rebuild --quiet
vas=$(find "$temp" -path '*/bin/vas')
libdir=$(dirname "$(find "$temp" -name libvas.so)")
unset LD_LIBRARY_PATH
LD_TRACE_LOADED_OBJECTS=1 "$vas" >"$temp/loaded"
for library in libvas.so.0 libvas-migrate.so.0; do
	found=$(realpath "$(sed -n "s/^.*$library => \(.*\) (0x.*/\1/p" "$temp/loaded")")
	[ "$found" = "$(realpath "$libdir/$library")" ] || {
		echo "$library is '$found'"
		exit 1
	}
done
"$vas" --version | grep -q '^vas [0-9]'
