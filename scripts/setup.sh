#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Install the packages that are missing. Idempotent: silent and quick when there is nothing to do.
set -eu

base="gcc g++ libc6-dev meson ninja-build pkg-config make python3 scdoc binutils
	clang clang-format lld libclang-rt-14-dev shellcheck universal-ctags spin
	qemu-system-x86 cpio xz-utils zstd util-linux groff-base
	libjson-c-dev libncurses-dev libxxhash-dev libzstd-dev liblz4-dev
	libpcre2-dev python3-dev python3-numpy mypy"
bench="valgrind gnuplot-nox liburcu-dev libdpdk-dev librust-vm-memory-dev cargo"
arm64="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"
kernel="dkms flex bison bc libelf-dev libssl-dev debootstrap"

case ${1:-} in
'') wanted=$base ;;
bench) wanted="$base $bench" ;;
kernel) wanted="$base $kernel" ;;
arm64) wanted="$base $arm64" ;;
*)
	echo "usage: ./dev setup [bench|kernel|arm64]" >&2
	exit 2
	;;
esac

# A program or, with a colon before it, a header, that a package brings: what is looked for on systems
# that have no dpkg, and other names for their packages.
brought_by()
{
	case $1 in
	libc6-dev) echo :stdio.h ;;
	ninja-build) echo ninja ;;
	binutils) echo objcopy ;;
	lld) echo ld.lld ;;
	libclang-rt-14-dev) echo clang ;; # elsewhere a part of it
	universal-ctags) echo ctags ;;
	qemu-system-x86) echo qemu-system-x86_64 ;;
	xz-utils) echo xz ;;
	util-linux) echo unshare ;;
	groff-base) echo groff ;;
	gnuplot-nox) echo gnuplot ;;
	libjson-c-dev) echo :json-c/json.h ;;
	libncurses-dev) echo :ncurses.h ;;
	libxxhash-dev) echo :xxhash.h ;;
	libpcre2-dev) echo :pcre2.h ;;
	libzstd-dev) echo :zstd.h ;;
	liblz4-dev) echo :lz4.h ;;
	python3-dev) echo python3-config ;;
	python3-numpy) echo true ;; # tests do without
	liburcu-dev) echo :urcu.h ;;
	libelf-dev) echo :libelf.h ;;
	libssl-dev) echo :openssl/ssl.h ;;
	gcc-aarch64-linux-gnu | libc6-dev-arm64-cross) echo aarch64-linux-gnu-gcc ;;
	qemu-user-static) echo qemu-aarch64-static ;;
	libdpdk-dev | librust-vm-memory-dev) echo true ;; # a bench does without
	*) echo "$1" ;;
	esac
}

is_there()
{
	if command -v dpkg-query >/dev/null; then
		[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]
		return
	fi
	thing=$(brought_by "$1")
	case $thing in
	:*) echo "#include <${thing#:}>" | "${CC:-cc}" -E - >/dev/null 2>&1 ;;
	*) command -v "$thing" >/dev/null ;;
	esac
}

missing=
for package in $wanted; do
	is_there "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "setup: apt-get is missing; please install what Debian calls:$missing" >&2
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
