#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Prometheus's checker, out of Debian's package. Nothing is installed: in Debian 12 that is the package
# of the server, which would be started.
# needs: apt, dpkg
set -eu

cache=${VAS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vas}
scripts=$(cd "$(dirname "$0")" && pwd)

usage()
{
	cat <<-END
	usage: promtool.sh fetch | path

	fetch   download it, unless it is there
	path    print the path of promtool: the system's, where there is one
	END
}

say()
{
	echo "promtool.sh: $*" >&2
}

die()
{
	say "$@"
	exit 1
}

# shellcheck source-path=SCRIPTDIR source=kernel-apt.sh
. "$scripts/kernel-apt.sh"
name=promtool dir=$cache/promtool

fetch()
{
	! command -v promtool >/dev/null || return 0
	[ ! -x "$dir/promtool" ] || return 0
	command -v apt-get >/dev/null || die "no apt-get; please install Prometheus's promtool"
	suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
	arch=$(dpkg --print-architecture)
	apt_update
	work=$dir.$$
	trap 'rm -rf "$work"' EXIT
	package=promtool
	private_apt apt-cache show $package >/dev/null 2>&1 || package=prometheus
	download $package
	mkdir "$work/new"
	dpkg-deb --fsys-tarfile "$work/debs/$package"_*.deb |
		tar -x -C "$work/new" --strip-components=3 ./usr/bin/promtool
	rm -rf "$dir"
	mv "$work/new" "$dir"
}

case ${1:-} in
fetch) fetch ;;
path)
	if ! command -v promtool; then
		[ -x "$dir/promtool" ] || die "it is not in the cache: 'scripts/promtool.sh fetch' fetches it"
		echo "$dir/promtool"
	fi
	;;
*)
	usage >&2
	exit 2
	;;
esac
