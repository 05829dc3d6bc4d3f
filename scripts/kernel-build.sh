# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# What builds modules for a kernel: its headers, and the compiler that they ask for. A part of
# kernel.sh; it uses $name, $suite, $dir (where the kernel is) and $work (a folder to work in).
# shellcheck disable=SC2154 # kernel.sh sets them

# Beside the compiler, what a kernel's makefiles call
build_tools='make bash dash coreutils sed grep mawk findutils diffutils perl-base util-linux
	tar gzip xz-utils'

# Debian's headers find each other by absolute paths below /usr/src, and may carry a vmlinux that
# would make the module build ask for pahole: make the tree stand alone.
settle_headers()
{
	tree=$1/usr/src/linux-headers-$version
	[ -f "$tree/Makefile" ] || die "linux-headers-$version: no Makefile where it should be"
	grep -rIl --include=Makefile --include=.kernelvariables /usr/src/linux-headers "$1/usr/src" |
		while read -r file; do
			sed -i "s,/usr/src/linux-headers,$dir/headers/usr/src/linux-headers,g" "$file"
		done
	[ ! -e "$tree/vmlinux" ] || mv "$tree/vmlinux" "$tree/vmlinux.btf"
	ln -s "usr/src/linux-headers-$version" "$1/build"
}

# The compiler that the headers in a folder want
compiler_of()
{
	grep -o 'gcc-[0-9]*' "$1/build/.kernelvariables" | head -n 1
}

# A system that does not have that compiler gets it, with all it needs, as a /usr of its own. The
# packages are only unpacked, so what their install scripts would do is done here.
fetch_toolchain()
{
	compiler=$(compiler_of "$work/headers")
	! command -v "$compiler" >/dev/null || return 0
	say "downloading $compiler, which this system does not have"
	# shellcheck disable=SC2086 # a list of words
	private_apt apt-get -y --no-install-recommends --download-only install \
		"$compiler" "$kbuild" $build_tools >"$apt_dir/log" 2>&1 || {
		cat "$apt_dir/log" >&2
		die "cannot download $compiler"
	}
	mkdir "$work/headers/toolchain"
	for deb in "$apt_dir"/cache/archives/*.deb; do
		dpkg -x "$deb" "$work/headers/toolchain"
		rm "$deb"
	done
	ln -sf mawk "$work/headers/toolchain/usr/bin/awk"
}

fetch_headers()
{
	version=$(cat "$dir/version")
	common=$(depends_of "linux-headers-$version" 'linux-headers-.*-common')
	kbuild=$(depends_of "linux-headers-$version" 'linux-kbuild-.*')
	if [ -z "$common" ] || [ -z "$kbuild" ]; then
		die "$suite no longer has headers for $version; try fetch --update --headers $name"
	fi
	unpack "$work/headers" "linux-headers-$version" "$common" "$kbuild"
	settle_headers "$work/headers"
	fetch_toolchain
	rm -rf "$dir/headers"
	mv "$work/headers" "$dir/headers"
	say "headers are in $dir/headers"
}

# Build in folder $1 with the headers in $dir. A toolchain of its own takes the place of /usr, for
# this process and its children only: all else, the sources above all, stays where it is.
build_modules()
{
	folder=$(realpath "$1")
	shift
	tree=$(realpath "$dir/headers/build")
	toolchain=$dir/headers/toolchain
	set -- make -C "$tree" "M=$folder" "$@"
	[ -d "$toolchain" ] || exec "$@"
	[ -L /lib64 ] || die "$name: needs a system whose /lib64 is a link into /usr"
	case $folder in
	/usr/*) die "$folder: cannot build for $name below /usr" ;;
	esac
	as_root=
	[ "$(id -u)" = 0 ] || as_root=--map-root-user
	# shellcheck disable=SC2016 # the dollars are the inner shell's
	PATH=/usr/bin exec unshare --mount $as_root \
		sh -c 'mount --bind "$0/usr" /usr && exec "$@"' "$toolchain" "$@"
}
