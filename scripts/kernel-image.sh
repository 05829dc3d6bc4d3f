# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# From a kernel's packages to what a machine boots: the ELF kernel, and some modules. A part of
# kernel.sh; it uses $name, $suite, $dir (where it belongs) and $work (a folder to work in).
# shellcheck disable=SC2154 # kernel.sh sets them

# What a test machine may want to load; each comes with all that it depends on.
module_roots='
	virtio_pci virtio_mmio virtio_blk virtio_net virtio_rng virtio_console virtio_balloon virtio_mem
	vmw_vsock_virtio_transport vsock_loopback 9p 9pnet_virtio
	kvm_amd kvm_intel vhost_net vhost_vsock vhost_scsi vdpa vhost_vdpa vdpa_sim_net
	vfio_pci vfio_iommu_type1 iommufd virtio_iommu uio_pci_generic tun veth loop virtiofs nvme e1000e ext4
	crc32c_generic'

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
	mkdir -p "$2"
	find "$1" -name '*.ko*' >"$work/files"
	find "$1" -name modules.builtin -exec sed 's,.*/,,; s,\.ko$,,; y,-,_,' {} + >"$2/builtin"
	absent=
	for root in $module_roots; do
		take_module "$2" "$root" || grep -qx "$root" "$2/builtin" || absent="$absent $root"
	done
	say "took $(find "$2" -name '*.ko' | wc -l) modules${absent:+; it has no$absent}"
}

# vmlinuz or config: in /boot, or beside the modules, with or without the version in its name
find_in_image()
{
	found=$(find "$work/image" -name "$1-$version" -o -name "$1" -path "*/modules/$version/*")
	[ -f "$found" ] || die "the packages of $version hold not one $1 but: $found"
	echo "$found"
}

# The ELF kernel as the compiler made it, with all its debug information. Its package has that of all
# modules as well, of several GB, which stays where it is.
fetch_symbols()
{
	version=$(cat "$dir/version")
	private_apt apt-cache show "linux-image-$version-dbg" >/dev/null 2>&1 ||
		die "$suite no longer has symbols for $version; try fetch --update --symbols $name"
	download "linux-image-$version-dbg"
	dpkg-deb --fsys-tarfile "$work"/debs/*.deb |
		tar -x -C "$work" "./usr/lib/debug/boot/vmlinux-$version"
	mv "$work/usr/lib/debug/boot/vmlinux-$version" "$dir/symbols"
	say "symbols of $version are in $dir"
}

fetch_image()
{
	version=$(depends_of "linux-image-$arch" 'linux-image-.*' | sed 's/^linux-image-//')
	[ -n "$version" ] || die "$suite has no linux-image-$arch"
	# Newer kernels come in several packages that carry the same version.
	parts=$(depends_of "linux-image-$version" "linux-[a-z]*-$version")
	# shellcheck disable=SC2086 # a list of words
	unpack "$work/image" "linux-image-$version" $parts
	mkdir "$work/new"
	extract_vmlinux "$(find_in_image vmlinuz)" "$work/new/vmlinux"
	cp "$(find_in_image vmlinuz)" "$work/new/vmlinuz"
	take_modules "$work/image" "$work/new/modules"
	cp "$(find_in_image config)" "$work/new/config"
	echo "$version" >"$work/new/version"
	rm -rf "$dir"
	mv "$work/new" "$dir"
	say "$version is in $dir"
}
