#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Install the packages that are missing. Idempotent: silent and quick when there is nothing to do.
set -eu

base="gcc g++ libc6-dev meson ninja-build pkg-config make python3 scdoc binutils
	clang lld libclang-rt-14-dev shellcheck universal-ctags spin
	qemu-system-x86 cpio xz-utils zstd util-linux
	libjson-c-dev libncurses-dev libxxhash-dev libzstd-dev liblz4-dev"
bench="valgrind gnuplot-nox liburcu-dev libdpdk-dev librust-vm-memory-dev cargo"
kernel="dkms flex bison bc libelf-dev libssl-dev debootstrap"

case ${1:-} in
'') wanted=$base ;;
bench) wanted="$base $bench" ;;
kernel) wanted="$base $kernel" ;;
*)
	echo "usage: ./dev setup [bench|kernel]" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null; then
	# Another distribution: its packages have other names, so say what is needed and go on.
	echo "setup: this is no Debian; the build needs what Debian calls: $wanted" >&2
	exit 0
fi

missing=
for package in $wanted; do
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ] ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "setup: apt-get is missing; please install:$missing" >&2
	exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "setup: not root, and no sudo; please install:$missing" >&2
		exit 1
	fi
	as_root=sudo
fi
echo "setup: installing$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # lists of words
if ! { $as_root apt-get update &&
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "setup: apt-get failed; please install:$missing" >&2
	exit 1
fi
