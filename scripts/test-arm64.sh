#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Build for arm64 into build-arm64/ and run tests there under qemu-user:
# test-arm64.sh [SUITE...].
#
# The compiler and the emulator are this system's packages (setup.sh arm64). Libraries for arm64
# come from the Debian archive with lists and status of our own, and are unpacked into a folder: the
# system learns of no second architecture. Ends as test.sh: N passed, N failed, N skipped.
set -eu

usage()
{
	cat <<-'END'
	usage: ./dev test arm64 [SUITE...]

	Cross-builds the libraries, the command, the Python module, the Rust crate and the tests for
	aarch64 into build-arm64/ and runs suites (default: unit contract cli python rust) under
	qemu-user. What the emulator has no system call for skips itself with the reason. Not there:
	what needs KVM, or a machine to boot.
	END
}

scripts=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$scripts/.."
cache=${VAS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vas}
build="build-arm64"
arch=arm64
# shellcheck source-path=SCRIPTDIR source=kernel-apt.sh
. "$scripts/kernel-apt.sh"
libraries="libc6 libgcc-s1 libtinfo6 libncursesw6 libncurses-dev
	libxxhash0 libxxhash-dev libzstd1 libzstd-dev liblz4-1 liblz4-dev libexpat1 libffi8 zlib1g
	libstd-rust-dev"

say()
{
	echo "arm64: $*"
}

die()
{
	echo "arm64: $*" >&2
	exit 1
}

# The release's Python and its headers; distutils is for meson, where that still wants it.
python_packages()
{
	python=$(depends_of python3 'python3\.[0-9]*')
	echo "$python-minimal lib$python-minimal lib$python-stdlib lib$python-dev"
	! private_apt apt-cache show python3-distutils >/dev/null 2>&1 || echo python3-distutils
}

# The libraries, in $sysroot. The suite is the system's own: one version of the C library for the
# compiler's headers and for what runs.
make_sysroot()
{
	suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
	name=arm64-$suite
	sysroot=$cache/$name
	[ "$(cat "$sysroot/.whole" 2>/dev/null)" != "$libraries" ] || return 0
	rm -rf "$sysroot"
	mkdir -p "$cache"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	apt_update
	# shellcheck disable=SC2046,SC2086 # words
	unpack "$sysroot" $libraries $(python_packages)
	# A link to /lib leads out of it, and then the linker takes the static half of a library.
	find "$sysroot" -type l -lname '/*' | while read -r link; do
		ln -sfn "$sysroot$(readlink "$link")" "$link"
	done
	cat >"$sysroot/python" <<-END
	#!/bin/sh
	# The sysroot's Python, wherever it is started.
	PYTHONHOME=$sysroot/usr exec qemu-aarch64-static -L $sysroot $sysroot/usr/bin/python3.[0-9]* "\$@"
	END
	chmod +x "$sysroot/python"
	echo "$libraries" >"$sysroot/.whole"
}

write_cross_file()
{
	libs=$sysroot/lib/aarch64-linux-gnu usr=$sysroot/usr/lib/aarch64-linux-gnu
	cat <<-END
	[binaries]
	c = 'aarch64-linux-gnu-gcc'
	ar = 'aarch64-linux-gnu-ar'
	nm = 'aarch64-linux-gnu-nm'
	objcopy = 'aarch64-linux-gnu-objcopy'
	strip = 'aarch64-linux-gnu-strip'
	pkgconfig = 'pkg-config'
	exe_wrapper = ['qemu-aarch64-static', '-L', '$sysroot']
	python = '$sysroot/python'
	[built-in options]
	c_args = ['-idirafter', '$sysroot/usr/include']
	c_link_args = ['-L$libs', '-L$usr', '-Wl,-rpath-link,$libs']
	[properties]
	sys_root = '$sysroot'
	pkg_config_libdir = '$usr/pkgconfig'
	[host_machine]
	system = 'linux'
	cpu_family = 'aarch64'
	cpu = 'cortex-a72'
	endian = 'little'
	END
}

# Cargo runs here and builds for there: the crate's own build script runs here as well. The standard
# library has to be of the compiler's release, as it is: both are this suite's.
export_cargo()
{
	libs=$sysroot/lib/aarch64-linux-gnu
	CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
	RUSTFLAGS="--sysroot $sysroot/usr -Clink-arg=-L$libs -Clink-arg=-Wl,-rpath-link,$libs"
	PKG_CONFIG_ALLOW_CROSS=1
	export CARGO_BUILD_TARGET CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER RUSTFLAGS
	export PKG_CONFIG_ALLOW_CROSS
}

build_all()
{
	make_sysroot
	write_cross_file >"$sysroot/new.ini"
	if ! cmp -s "$sysroot/new.ini" "$sysroot/cross.ini"; then
		rm -rf "$build"
		mv "$sysroot/new.ini" "$sysroot/cross.ini"
	fi
	scripts/build.sh "$build" --cross-file "$sysroot/cross.ini" -Dman=false -Dpython=enabled
}

# In a user namespace of ours, whose binfmt_misc is ours too (Linux 6.7).
run_emulated()
{
	binfmt=/proc/sys/fs/binfmt_misc
	rules=/usr/lib/binfmt.d/qemu-aarch64.conf
	if ! mount -t binfmt_misc binfmt_misc $binfmt || ! cat $rules >$binfmt/register; then
		echo "skip: the kernel does not let us name an emulator (Linux 6.7 does)"
		exit 77
	fi
	suites=
	[ $# -gt 0 ] || set -- unit contract cli python rust
	for suite; do
		suites="$suites --suite $suite"
	done
	# All takes longer here; limits are for what hangs.
	TEST_TIMEOUT=1800 TEST_EMULATED=1 QEMU_LD_PREFIX=$sysroot
	export TEST_TIMEOUT TEST_EMULATED QEMU_LD_PREFIX
	export_cargo
	rm -rf "$build/test-results"
	mkdir -p "$build/test-results"
	# shellcheck disable=SC2086 # words
	meson test -C "$build" --no-rebuild --num-processes "$(nproc)" --logbase arm64 \
		--timeout-multiplier 3 --print-errorlogs $suites >"$build/test-results/arm64.out" 2>&1 || true
	cp "$build/meson-logs/arm64.json" "$build/test-results/"
	exec python3 tests/summary.py "$build/test-results" tests/arm64.limits
}

# Tests start programs, and themselves: the kernel has to know the emulator.
case ${1:-} in
-h | --help)
	usage
	;;
--emulated)
	sysroot=$2
	shift 2
	run_emulated "$@"
	;;
*)
	build_all
	exec unshare --user --map-root-user --mount "$0" --emulated "$sysroot" "$@"
	;;
esac
