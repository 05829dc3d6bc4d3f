#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Where there is no apt-get, setup says what is missing by the system's own names. usage: SCRIPT SOURCE-DIR
set -eu

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
mkdir "$temp/bin"
for tool in awk cat id mktemp rm sed sh; do
	ln -s "$(command -v $tool)" "$temp/bin/"
done

# told SYSTEM: what setup says there; it must fail
told()
{
	echo "ID=$1" >"$temp/os"
	if OS_RELEASE=$temp/os PATH=$temp/bin "$source/scripts/setup.sh" 2>&1; then
		echo "it says that nothing is missing on $1" >&2
		exit 1
	fi
}

# is_told SYSTEM WORD...
is_told()
{
	told "$1" >"$temp/told"
	shift
	for word; do
		grep -qwF -e "$word" "$temp/told" || {
			echo "'$word' is not in: $(cat "$temp/told")"
			exit 1
		}
	done
}

source=$1
is_told fedora 'dnf install' xxhash-devel gcc-c++ 'no package here with what Debian calls: spin'
is_told arch 'pacman -S --needed' xxhash
is_told alpine 'apk add' musl-dev samurai
is_told another 'what Debian calls' libxxhash-dev
