# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Kernels built here, from Debian's sources: small, but with the kernel's own checkers. A part of
# kernel.sh; it uses $name, $suite, $scripts, $dir (where the kernel belongs) and $work (a folder to
# work in).
# shellcheck disable=SC2154 # kernel.sh sets them

is_from_source()
{
	[ -e "$scripts/kernel-$name.config" ]
}

# The sources, which are also what modules are built with later
unpack_source()
{
	package=$(depends_of linux-source 'linux-source-.*')
	[ -n "$package" ] || die "$suite has no linux-source"
	unpack "$work/source-package" "$package"
	say "unpacking the source"
	mkdir -p "$1"
	tar -C "$1" --strip-components=1 -xf "$work/source-package/usr/src/$package.tar.xz"
	rm -rf "$work/source-package"
}

# What kernel $name is to have beyond tinyconfig, less the comments
wanted_config()
{
	grep -hE '^(CONFIG|# CONFIG_[A-Z0-9_]* is not set$)' \
		"$scripts/kernel-small.config" "$scripts/kernel-$name.config"
}

# The cached kernel is another one as soon as something else is wanted.
is_built_as_wanted()
{
	[ "$(cat "$dir/wanted" 2>/dev/null)" = "$(wanted_config)" ]
}

# tinyconfig and ours on top; olddefconfig drops what does not fit together, without a word
configure_source()
{
	wanted_config >"$work/wanted"
	$make tinyconfig
	"$source/scripts/kconfig/merge_config.sh" -m -O "$build" "$build/.config" "$work/wanted"
	$make olddefconfig
	grep '^CONFIG' "$work/wanted" | while read -r line; do
		grep -qxF "$line" "$build/.config" || die "the configuration has lost $line"
	done
}

# The build tree names the sources by their path: make it name the one where they will be. Of the
# sources, modules need only what is no code; the kernel's own tests, which stay, include headers of
# drivers.
settle_source()
{
	sed -i "s,$work,$dir,g" "$build/Makefile"
	ln -sfn "$dir/headers/source" "$build/source"
	rm -rf "$source/Documentation" "$source/sound" "$source/samples"
	find "$source/drivers" -type f ! -path '*/drivers/iommu/*.h' ! -path '*/drivers/dma/*.h' -delete
	find "$source/arch" -mindepth 1 -maxdepth 1 ! -name x86 -exec rm -rf {} +
	find "$source" ! -path "$source/scripts/*" ! -path "$source/tools/*" -name '*.[cS]' -delete
	find "$build" ! -path "$build/scripts/*" ! -path "$build/tools/*" -type f \
		\( -name '*.[oa]' -o -name '.*.cmd' -o -name '.tmp_*' -o -name 'vmlinux*' \) -delete
}

take_built()
{
	version=$(cat "$build/include/config/kernel.release")
	mkdir "$work/modules"
	strip --strip-debug -o "$work/vmlinux" "$build/vmlinux"
	cp "$build/.config" "$work/config"
	sed 's,.*/,,; s,\.ko$,,; y,-,_,' "$build/modules.builtin" >"$work/modules/builtin"
	: >"$work/modules/depends"
	settle_source
	rm "$work/log"
	echo "$version" >"$work/version"
	rm -rf "$dir"
	mv "$work" "$dir"
	say "$version with its checkers is in $dir"
}

fetch_source()
{
	need make gcc flex bison bc tar xz
	source=$work/headers/source
	build=$work/headers/build
	make="make -s -C $source O=$build"
	mkdir -p "$build"
	unpack_source "$source"
	configure_source >"$work/log" 2>&1 || {
		tail -n 20 "$work/log" >&2
		die "cannot configure the kernel"
	}
	say "building; this takes 10 to 20 minutes on 2 processors"
	$make -j "$(nproc)" vmlinux modules modules_prepare >"$work/log" 2>&1 || {
		tail -n 20 "$work/log" >&2
		die "cannot build the kernel"
	}
	take_built
}

# build_selftests FOLDER TARGET...: the kernel's own tests, with its own headers of user space. Stable
# kernels after 7.2 call calloc_assert(), which came later, without having it.
build_selftests()
{
	source=$dir/headers/source
	folder=$(realpath -m "$1") extra=
	tests=$source/tools/testing/selftests
	shift
	mkdir -p "$folder"
	grep -rqs 'define calloc_assert' "$tests" || extra=-Dcalloc_assert=calloc
	make -s -C "$source" O="$folder/headers" headers >"$folder/log" 2>&1 || die_of_log "headers"
	for target; do
		mkdir -p "$folder/$target"
		make -s -C "$tests/$target" OUTPUT="$folder/$target" EXTRA_CFLAGS="$extra" \
			KHDR_INCLUDES="-isystem $folder/headers/usr/include" >"$folder/log" 2>&1 ||
			die_of_log "$target"
		find "$folder/$target" -maxdepth 1 -type f -perm -u+x | sort
	done
}

die_of_log()
{
	tail -n 20 "$folder/log" >&2
	die "the kernel's own tests cannot be built: $1"
}
