#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A newer QEMU than the system's, of Debian 12's backports, in a folder of its own: nothing is installed.
# needs: apt, dpkg
set -eu

cache=${VAS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vas}
scripts=$(cd "$(dirname "$0")" && pwd)

usage()
{
	cat <<-END
	usage: qemu.sh fetch | path

	fetch   download it, with the libraries that it needs and the system has not, unless it is there
	path    print the path of qemu-system-x86_64
	END
}

say()
{
	echo "qemu.sh: $*" >&2
}

die()
{
	say "$@"
	exit 1
}

# shellcheck source-path=SCRIPTDIR source=kernel-apt.sh
. "$scripts/kernel-apt.sh"
name=qemu suite=bookworm-backports
dir=$cache/qemu

# What apt would install beside what is there, and from where it has the suite before.
fetch_debs()
{
	apt_update
	echo "deb $(sed -n 's/^deb \(\[.*\]\) .*/\1/p' "$apt_dir/sources.list") $(mirror) bookworm main" \
		>>"$apt_dir/sources.list"
	private_apt apt-get update >"$apt_dir/log" 2>&1 || die "cannot read the package list of bookworm"
	rm -f "$apt_dir"/cache/archives/*.deb
	private_apt apt-get -y --download-only --no-install-recommends -t $suite \
		-o Dir::State::status=/var/lib/dpkg/status -o Debug::NoLocking=1 \
		install qemu-system-x86 >"$apt_dir/log" 2>&1 || {
		cat "$apt_dir/log" >&2
		die "cannot download qemu-system-x86 of $suite"
	}
}

# Its libraries and firmware are where it does not look by itself.
make_starter()
{
	cat >"$1/qemu-system-x86_64" <<-END
	#!/bin/sh
	LD_LIBRARY_PATH=$dir/root/usr/lib/x86_64-linux-gnu:$dir/root/lib/x86_64-linux-gnu
	export LD_LIBRARY_PATH
	exec $dir/root/usr/bin/qemu-system-x86_64 -L $dir/root/usr/share/qemu -L $dir/root/usr/share/seabios "\$@"
	END
	chmod +x "$1/qemu-system-x86_64"
}

fetch()
{
	[ ! -x "$dir/qemu-system-x86_64" ] || return 0
	fetch_debs
	work=$dir.$$
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work/root"
	for deb in "$apt_dir"/cache/archives/*.deb; do
		dpkg -x "$deb" "$work/root"
	done
	make_starter "$work"
	rm -rf "$dir"
	mv "$work" "$dir"
}

case ${1:-} in
fetch) fetch ;;
path)
	[ -x "$dir/qemu-system-x86_64" ] || die "it is not in the cache: 'scripts/qemu.sh fetch' fetches it"
	echo "$dir/qemu-system-x86_64"
	;;
*)
	usage >&2
	exit 2
	;;
esac
