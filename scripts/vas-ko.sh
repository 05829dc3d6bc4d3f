#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Build vas.ko and the modules that use it for one kernel, in a folder of its own: the sources are
# linked there, so that builds for several kernels stay apart and the source tree stays clean.
#
# needs: make, gcc, coreutils; and what kernel.sh needs
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$scripts")

usage()
{
	cat <<-END
	usage: vas-ko.sh NAME FOLDER [MAKE-ARGUMENT...]

	Build for kernel NAME, as kernel.sh names it (or an absolute path: a prepared kernel build tree),
	in FOLDER; the modules are then in FOLDER/kernel and the folders below it.
	END
}

# Links to what is there now; links to what is gone would be built, too, so they go.
link_sources()
{
	mkdir -p "$1"
	find "$1" -xtype l -delete
	for part in core examples include kernel; do
		mkdir -p "$1/$part"
		cp -rsf "$top/$part/." "$1/$part/"
	done
}

case ${1:-} in
-h | --help)
	usage
	exit
	;;
esac
[ $# -ge 2 ] || {
	usage >&2
	exit 1
}
name=$1 folder=$2
shift 2
link_sources "$folder"
folder=$(realpath "$folder")
case $name in
/*) exec make -C "$name" "M=$folder/kernel" "$@" ;;
*) exec "$scripts/kernel.sh" make "$name" "$folder/kernel" "$@" ;;
esac
