#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Stock Debian kernels for tests, fetched into a cache folder of their own. The system's apt
# sources, lists and packages stay as they are: nothing is installed, and no root is needed.
#
# needs: apt, dpkg, debian-archive-keyring, binutils, coreutils, util-linux, xz-utils, zstd
# to build modules: make, libelf1, gcc-12; for newest a mount namespace (root, or user namespaces)
# for debug, kcsan and iommufd: make, gcc, flex, bison, bc, libelf-dev, libssl-dev, xz-utils
# for the kernel's own tests: libcap-dev, uuid-dev
set -eu
export LC_ALL=C

scripts=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=kernel-apt.sh
. "$scripts/kernel-apt.sh"
# shellcheck source-path=SCRIPTDIR source=kernel-image.sh
. "$scripts/kernel-image.sh"
# shellcheck source-path=SCRIPTDIR source=kernel-build.sh
. "$scripts/kernel-build.sh"
# shellcheck source-path=SCRIPTDIR source=kernel-source.sh
. "$scripts/kernel-source.sh"

cache=${VAS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vas}

usage()
{
	cat <<-END
	usage: kernel.sh fetch [--headers] [--symbols] [--update] NAME...
	       kernel.sh path NAME vmlinux|vmlinuz|config|modules|headers|symbols|version
	       kernel.sh modules NAME MODULE...
	       kernel.sh make NAME FOLDER [MAKE-ARGUMENT...]
	       kernel.sh selftests NAME FOLDER TARGET...
	       kernel.sh cache

	fetch    get kernels NAME (see below) if the cache lacks them
	         --headers  also what a module build needs: headers, and a compiler if need be
	         --symbols  also the kernel with its debug information (a download of 0.9 GB), for
	                    those from packages
	         --update   replace a cached kernel by the archive's current one
	path     print where a part of a fetched kernel is (for version: the version)
	modules  print the files of the modules and of all they depend on, in load order; one that is
	         built in has none
	make     build the modules in a folder for that kernel, with the compiler that it needs
	selftests  build the kernel's own tests (folders of tools/testing/selftests) into FOLDER/TARGET,
	         and print the programs; for kernels built from source
	cache    print the cache folder

	NAME     6.1     Debian 12's own kernel
	         6.12    the kernel in Debian 12's backports
	         newest  the kernel in Debian's unstable branch
	         debug   6.12 with KASAN, UBSAN, lockdep, kmemleak, checks of objects' lives, detectors
	                 of lockups and hung tasks, and fault injection, built from source
	         kcsan   6.12 with KCSAN, which looks for data races, built from source
	         iommufd  unstable's, with iommufd and its mock devices, built from source
	         A kernel built from source is built again when its configuration here changes.

	VAS_CACHE          cache folder (now: $cache)
	VAS_DEBIAN_MIRROR  archive to use instead of the one in the system's apt sources
	END
}

say()
{
	echo "kernel $name: $*" >&2
}

die()
{
	echo "kernel.sh: $*" >&2
	exit 1
}

need()
{
	for tool; do
		command -v "$tool" >/dev/null || die "$tool is missing; please install it"
	done
}

suite_of()
{
	case $1 in
	6.1) echo bookworm ;;
	6.12 | debug | kcsan) echo bookworm-backports ;;
	newest | iommufd) echo sid ;;
	*) die "unknown kernel '$1' (known: 6.1 6.12 newest debug kcsan iommufd)" ;;
	esac
}

fetch_one()
{
	name=$1
	suite=$(suite_of "$name")
	dir=$cache/kernels/$name
	work=$cache/kernels/.$name.$$
	mkdir -p "$cache/kernels"
	exec 9>"$cache/kernels/.$name.lock"
	flock 9
	want_image=$update
	[ -e "$dir/version" ] || want_image=1
	! is_from_source || is_built_as_wanted || want_image=1
	if [ -z "$want_image" ] && { [ -z "$headers" ] || [ -e "$dir/headers" ]; } &&
		{ [ -z "$symbols" ] || [ -e "$dir/symbols" ]; }; then
		say "$(cat "$dir/version") is in the cache"
		return
	fi
	need apt-get apt-cache dpkg objcopy strip od
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	mkdir "$work"
	apt_update
	if is_from_source; then
		[ -z "$symbols" ] || die "$name is built without debug information"
		fetch_source
		return
	fi
	[ -z "$want_image" ] || fetch_image
	[ -z "$headers" ] || fetch_headers
	[ -z "$symbols" ] || fetch_symbols
	rm -rf "$work"
}

cmd_fetch()
{
	headers=
	symbols=
	update=
	while [ $# -gt 0 ]; do
		case $1 in
		--headers) headers=1 ;;
		--symbols) symbols=1 ;;
		--update) update=1 ;;
		-*) die "fetch: unknown option $1" ;;
		*) break ;;
		esac
		shift
	done
	[ $# -gt 0 ] || die "fetch: which kernel? (6.1 6.12 newest debug kcsan iommufd)"
	need flock
	if [ $# = 1 ]; then
		fetch_one "$1"
		return
	fi
	status=0
	for kernel; do
		"$0" fetch ${headers:+--headers} ${symbols:+--symbols} ${update:+--update} "$kernel" ||
			status=1
	done
	exit $status
}

fetched_dir()
{
	suite_of "$1" >/dev/null
	[ -e "$cache/kernels/$1/version" ] || die "kernel $1 is not in the cache; run: $0 fetch $1"
	echo "$cache/kernels/$1"
}

cmd_path()
{
	[ $# = 2 ] || die "path: wants a kernel and a part"
	dir=$(fetched_dir "$1")
	case $2 in
	version) cat "$dir/version" ;;
	vmlinux | config | modules) echo "$dir/$2" ;;
	vmlinuz)
		[ -e "$dir/vmlinuz" ] || die "no vmlinuz of $1; run: $0 fetch --update $1"
		echo "$dir/vmlinuz"
		;;
	symbols)
		[ -e "$dir/symbols" ] || die "no symbols of $1; run: $0 fetch --symbols $1"
		echo "$dir/symbols"
		;;
	headers)
		[ -e "$dir/headers/build" ] || die "no headers of $1; run: $0 fetch --headers $1"
		realpath "$dir/headers/build"
		;;
	*) die "path: unknown part '$2'" ;;
	esac
}

cmd_make()
{
	[ $# -gt 1 ] || die "make: wants a kernel and a folder"
	cmd_path "$1" headers >/dev/null
	name=$1
	dir=$(fetched_dir "$1")
	shift
	build_modules "$@"
}

cmd_selftests()
{
	[ $# -gt 2 ] || die "selftests: wants a kernel, a folder and targets"
	name=$1
	dir=$(fetched_dir "$1")
	is_from_source || die "selftests: the sources of $1 are not here"
	shift
	build_selftests "$@"
}

cmd_modules()
{
	[ $# -gt 1 ] || die "modules: wants a kernel and modules"
	dir=$(fetched_dir "$1")/modules
	shift
	echo "$*" | awk -v dir="$dir" '
		function visit(name,	needs, n, i) {
			if (done[name]++)
				return
			if (name in builtin)
				return
			if (!(name in line)) {
				print "kernel.sh: no module " name " in " dir >"/dev/stderr"
				bad = 1
				return
			}
			n = split(line[name], needs)
			for (i = 2; i <= n; i++)
				visit(needs[i])
			print dir "/" name ".ko"
		}
		FILENAME ~ /builtin$/ { builtin[$1]; next }
		FILENAME ~ /depends$/ { line[$1] = $0; next }
		{ gsub(/-/, "_"); for (f = 1; f <= NF; f++) visit($f) }
		END { exit bad }' "$dir/builtin" "$dir/depends" -
}

case ${1:-} in
fetch | path | modules | make | selftests)
	command=$1
	shift
	"cmd_$command" "$@"
	;;
cache) echo "$cache" ;;
-h | --help | help) usage ;;
*)
	usage >&2
	exit 1
	;;
esac
