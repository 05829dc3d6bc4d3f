#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What is installed is enough to build with: dynamically and statically, by pkg-config.
# usage: SCRIPT BUILD-DIR PROGRAM.c
set -eu

build=$1 program=$2
command -v pkg-config >/dev/null || {
	echo "skip: no pkg-config"
	exit 77
}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

DESTDIR=$temp meson install -C "$build" --no-rebuild --quiet
libdir=$(dirname "$(find "$temp" -name libvas.so)")
PKG_CONFIG_PATH=$libdir/pkgconfig:${PKG_CONFIG_PATH:-}
PKG_CONFIG_SYSROOT_DIR=$temp
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR

# pkg-config puts the sysroot before the system's own libraries' folders as well, if it names them.
# shellcheck disable=SC2046 # words
cc "$program" -o "$temp/shared" $(pkg-config --cflags --libs vas-migrate)
LD_LIBRARY_PATH=$libdir "$temp/shared"
# shellcheck disable=SC2046 # words
cc -static "$program" -o "$temp/static" $(pkg-config --cflags --libs --static vas-migrate)
"$temp/static"
! nm -g --defined-only "$temp/static" | grep ' wire_'
