#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Stock Debian kernels for tests, fetched into a cache folder of their own. The system's apt
# sources, lists and packages stay as they are: nothing is installed, and no root is needed.
#
# needs: apt, dpkg, binutils, coreutils, util-linux (flock), debian-archive-keyring;
#        xz-utils or zstd, as the kernel is packed; for --headers of newest: debootstrap and root
set -eu
export LC_ALL=C

cache=${VAS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vas}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
arch=amd64

# What a test machine may want to load; each comes with all that it depends on.
module_roots='
	virtio_pci virtio_mmio virtio_blk virtio_net virtio_console virtio_balloon virtio_mem
	vmw_vsock_virtio_transport vsock_loopback 9p 9pnet_virtio
	kvm_amd kvm_intel vhost_net vhost_vsock vhost_scsi vdpa vhost_vdpa vdpa_sim_net
	vfio_pci vfio_iommu_type1 iommufd uio_pci_generic tun veth loop'

usage()
{
	cat <<-END
	usage: kernel.sh fetch [--headers] [--update] NAME...
	       kernel.sh path NAME vmlinux|config|modules|headers|version
	       kernel.sh modules NAME MODULE...
	       kernel.sh cache

	fetch    get kernels NAME (see below) if the cache lacks them
	         --headers  also what a module build needs: make -C \$(kernel.sh path NAME headers) M=...
	         --update   replace a cached kernel by the archive's current one
	path     print where a part of a fetched kernel is (for version: the version)
	modules  print the files of the modules and of all they depend on, in load order
	cache    print the cache folder

	NAME     6.1     Debian 12's own kernel
	         6.12    the kernel in Debian 12's backports
	         newest  the kernel in Debian's unstable branch

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
	6.12) echo bookworm-backports ;;
	newest) echo sid ;;
	*) die "unknown kernel '$1' (known: 6.1 6.12 newest)" ;;
	esac
}

# The system knows a Debian archive that is near, allowed and trusted: ask apt for it.
mirror()
{
	if [ -n "${VAS_DEBIAN_MIRROR:-}" ]; then
		echo "$VAS_DEBIAN_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # the dollars are apt's
	uri=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
		sed -n 's/^Debian|//p' | head -n 1)
	[ -n "$uri" ] || die "apt has no lists of a Debian archive;" \
		"run 'apt-get update', or set VAS_DEBIAN_MIRROR"
	echo "$uri"
}

# apt with lists, cache and status of our own
private_apt()
{
	tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist="$apt_dir/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::Etc::preferencesparts=- -o Dir::Etc::preferences=- \
		-o Dir::State::Lists="$apt_dir/lists" -o Dir::State::status="$apt_dir/status" \
		-o Dir::Cache="$apt_dir/cache" -o APT::Sandbox::User= -o APT::Architecture=$arch \
		-o Acquire::Languages=none -o Acquire::Retries=2 "$@"
}

apt_update()
{
	apt_dir=$cache/apt/$name
	mkdir -p "$apt_dir/lists/partial" "$apt_dir/cache/archives/partial"
	: >"$apt_dir/status"
	uri=$(mirror)
	options="target=Packages"
	[ ! -r $keyring ] || options="$options signed-by=$keyring"
	echo "deb [$options] $uri $suite main" >"$apt_dir/sources.list"
	say "reading the package list of $suite"
	private_apt apt-get update -o APT::Update::Error-Mode=any >"$apt_dir/log" 2>&1 || {
		cat "$apt_dir/log" >&2
		die "cannot read the package list of $suite from $uri (no network?)"
	}
}

# The packages in a package's Depends line that match a pattern, versions dropped
depends_of()
{
	private_apt apt-cache depends --important "$1" 2>/dev/null |
		sed -n "s/^ *Depends: \($2\)\$/\1/p"
}

# Download packages and unpack them below a folder
unpack()
{
	to=$1
	shift
	mkdir -p "$to" "$work/debs"
	for package; do
		say "downloading $package"
		(cd "$work/debs" && private_apt apt-get download "$package") >"$apt_dir/log" 2>&1 || {
			cat "$apt_dir/log" >&2
			die "cannot download $package"
		}
	done
	for deb in "$work"/debs/*.deb; do
		dpkg -x "$deb" "$to"
		rm "$deb"
	done
}

# le FILE OFFSET SIZE: a little-endian number in a file
le()
{
	od -An -v -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

unpacker_of()
{
	case $(od -An -v -t x1 -N 4 "$1" | tr -d ' ') in
	28b52ffd) echo zstd ;;
	fd377a58) echo xz ;;
	1f8b*) echo gzip ;;
	02214c18) echo lz4 ;;
	*) die "$1: packed in a way this script does not know" ;;
	esac
}

# Take the ELF kernel out of a bzImage. The setup header says where the payload lies; the payload's
# last four bytes are its unpacked size (in gzip they are part of the format, elsewhere appended).
extract_vmlinux()
{
	image=$1
	[ "$(le "$image" 514 4)" = 1400005704 ] || die "$image: no bzImage"
	start=$((($(le "$image" 497 1) + 1) * 512 + $(le "$image" 584 4)))
	len=$(le "$image" 588 4)
	size=$(le "$image" $((start + len - 4)) 4)
	tail -c +$((start + 1)) "$image" | head -c "$len" >"$work/payload"
	unpacker=$(unpacker_of "$work/payload")
	need "$unpacker"
	[ "$unpacker" = gzip ] || truncate -s -4 "$work/payload"
	"$unpacker" -dc <"$work/payload" >"$2"
	rm "$work/payload"
	[ "$(stat -c %s "$2")" = "$size" ] || die "$image: unpacks to a size it does not promise"
	[ "$(od -An -c -j 1 -N 3 "$2" | tr -d ' ')" = ELF ] || die "$image: holds no ELF kernel"
}

# The direct dependencies that a module names, one a line, with _ for -
needs_of()
{
	objcopy -O binary --only-section=.modinfo "$1" "$work/modinfo"
	tr '\0' '\n' <"$work/modinfo" | sed -n 's/^depends=//p' | tr ',-' '\n_' | sed '/^$/d'
}

# Copy module $2 to folder $1 as NAME.ko, with all it depends on; note who needs what.
take_module()
{
	[ ! -e "$1/$2.ko" ] || return 0
	file=$(awk -F/ -v name="$2" '{ n = $NF; sub(/\.ko(\.[a-z]+)?$/, "", n); gsub(/-/, "_", n) }
		n == name' "$work/files")
	[ -n "$file" ] || return 1
	case $file in
	*.xz) xz -dc "$file" >"$1/$2.ko" ;;
	*.zst) zstd -dqc "$file" >"$1/$2.ko" ;;
	*.gz) gzip -dc "$file" >"$1/$2.ko" ;;
	*) cp "$file" "$1/$2.ko" ;;
	esac
	strip --strip-debug "$1/$2.ko"
	needs=$(needs_of "$1/$2.ko" | tr '\n' ' ')
	echo "$2 $needs" >>"$1/depends"
	for need in $needs; do
		take_module "$1" "$need" || die "module $need is not in the package"
	done
}

take_modules()
{
	find "$1" -name '*.ko*' >"$work/files"
	mkdir -p "$2"
	absent=
	for root in $module_roots; do
		take_module "$2" "$root" || absent="$absent $root"
	done
	say "took $(find "$2" -name '*.ko' | wc -l) modules${absent:+; it has no$absent}"
}

fetch_image()
{
	version=$(depends_of linux-image-$arch 'linux-image-.*' | sed 's/^linux-image-//')
	[ -n "$version" ] || die "$suite has no linux-image-$arch"
	unpack "$work/image" "linux-image-$version"
	mkdir "$work/new"
	extract_vmlinux "$work/image/boot/vmlinuz-$version" "$work/new/vmlinux"
	modules=$work/image/lib/modules
	[ -d "$modules" ] || modules=$work/image/usr/lib/modules
	take_modules "$modules" "$work/new/modules"
	cp "$work/image/boot/config-$version" "$work/new/config"
	echo "$version" >"$work/new/version"
	rm -rf "$dir"
	mv "$work/new" "$dir"
	say "$version is in $dir"
}

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
	rm -rf "$dir/headers"
	mv "$work/headers" "$dir/headers"
	say "headers are in $dir/headers"
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
	if [ -z "$want_image" ] && { [ -z "$headers" ] || [ -e "$dir/headers" ]; }; then
		say "$(cat "$dir/version") is in the cache"
		return
	fi
	need apt-get apt-cache dpkg objcopy strip od
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	mkdir "$work"
	apt_update
	[ -z "$want_image" ] || fetch_image
	[ -z "$headers" ] || fetch_headers
	rm -rf "$work"
}

cmd_fetch()
{
	headers=
	update=
	while [ $# -gt 0 ]; do
		case $1 in
		--headers) headers=1 ;;
		--update) update=1 ;;
		-*) die "fetch: unknown option $1" ;;
		*) break ;;
		esac
		shift
	done
	[ $# -gt 0 ] || die "fetch: which kernel? (6.1 6.12 newest)"
	need flock
	for kernel; do
		fetch_one "$kernel"
	done
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
	headers)
		[ -e "$dir/headers/build" ] || die "no headers of $1; run: $0 fetch --headers $1"
		realpath "$dir/headers/build"
		;;
	*) die "path: unknown part '$2'" ;;
	esac
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
		FILENAME != "-" { line[$1] = $0; next }
		{ gsub(/-/, "_"); for (f = 1; f <= NF; f++) visit($f) }
		END { exit bad }' "$dir/depends" -
}

case ${1:-} in
fetch | path | modules)
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
