#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A passt that speaks vhost-user, which that of Debian 12 does not: Debian 13's, with the C library that it
# needs, in a folder of its own to change the root to. Nothing is installed.
# needs: apt, dpkg
set -eu

cache=${VAS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vas}
scripts=$(cd "$(dirname "$0")" && pwd)

usage()
{
	cat <<-END
	usage: passt.sh fetch | path

	fetch   download it, unless it is there
	path    print the folder
	END
}

say()
{
	echo "passt.sh: $*" >&2
}

die()
{
	say "$@"
	exit 1
}

# shellcheck source-path=SCRIPTDIR source=kernel-apt.sh
. "$scripts/kernel-apt.sh"
name=passt suite=trixie
dir=$cache/passt

fetch()
{
	[ ! -e "$dir/usr/bin/passt" ] || return 0
	apt_update
	work=$dir.$$
	trap 'rm -rf "$work"' EXIT
	unpack "$work/root" passt libc6
	rm -rf "$dir"
	mv "$work/root" "$dir"
}

case ${1:-} in
fetch) fetch ;;
path)
	[ -e "$dir/usr/bin/passt" ] || die "it is not in the cache: 'scripts/passt.sh fetch' fetches it"
	echo "$dir"
	;;
*)
	usage >&2
	exit 2
	;;
esac
