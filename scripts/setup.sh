#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Install the packages that are missing. Idempotent: silent and quick when there is nothing to do.
# Elsewhere than on Debian and its kin: say what is missing, by the system's own names.
set -eu

build="gcc libc6-dev meson ninja-build pkg-config python3 scdoc binutils
	libjson-c-dev libncurses-dev libmicrohttpd-dev libpcre2-dev liburing-dev
	libxxhash-dev libzstd-dev liblz4-dev"
base="$build g++ make clang clang-format lld libclang-rt-dev shellcheck universal-ctags spin
	qemu-system-x86 qemu-system-arm cpio xz-utils zstd util-linux groff-base fish zsh busybox-static
	iproute2 e2fsprogs passt
	python3-dev python3-numpy python3-prometheus-client mypy cargo librust-vm-memory-dev librust-pkg-config-dev"
demo="$build qemu-system-x86 cpio xz-utils zstd util-linux"
bench="valgrind gnuplot-nox liburcu-dev libdpdk-dev dpdk-dev"
arm64="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"
kernel="dkms flex bison bc libelf-dev libssl-dev debootstrap"
vm_more="python3-drgn crash makedumpfile gdb libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients
	dpdk dpdk-dev"
deb="git build-essential debhelper dh-dkms dh-python libpython3-dev lintian xz-utils"
rpm="git xz-utils rpm rpmlint"
portability="debootstrap dpkg-dev musl-tools"

case ${1:-} in
'') wanted=$base ;;
build) wanted=$build ;;
demo) wanted=$demo ;;
bench) wanted="$base $bench" ;;
kernel) wanted="$base $kernel" ;;
vm-more) wanted="$base $vm_more" ;;
deb) wanted="$build $deb" ;;
package) wanted="$build $deb debootstrap" ;;
rpm) wanted="$build $rpm" ;;
portability) wanted="$base $portability" ;;
arm64) wanted="$base $arm64" ;;
*)
	echo "usage: ./dev setup [build|demo|bench|kernel|vm-more|arm64|deb|rpm|package|portability]" >&2
	exit 2
	;;
esac

# Debian's name; what it brings (a program or, with a colon before it, a header), by which it is known
# where there is no dpkg; and what Fedora, Arch and Alpine call it, with - where we know of none. What
# is not here is called the same by all and brings a program of its name.
names()
{
	cat <<-'END'
	libc6-dev              :stdio.h            glibc-devel          glibc           musl-dev
	ninja-build            ninja               ninja-build          ninja           samurai
	pkg-config             pkg-config          pkgconf-pkg-config   pkgconf         pkgconf
	python3                python3             python3              python          python3
	python3-dev            python3-config      python3-devel        python          python3-dev
	python3-numpy          true                python3-numpy        python-numpy    py3-numpy
	python3-prometheus-client true              python3-prometheus_client python-prometheus_client py3-prometheus-client
	mypy                   mypy                python3-mypy         mypy            mypy
	binutils               objcopy             binutils             binutils        binutils
	libjson-c-dev          :json-c/json.h      json-c-devel         json-c          json-c-dev
	libncurses-dev         :ncurses.h          ncurses-devel        ncurses         ncurses-dev
	libmicrohttpd-dev      :microhttpd.h       libmicrohttpd-devel  libmicrohttpd   libmicrohttpd-dev
	libpcre2-dev           :pcre2.h            pcre2-devel          pcre2           pcre2-dev
	liburing-dev           :liburing.h         liburing-devel       liburing        liburing-dev
	libxxhash-dev          :xxhash.h           xxhash-devel         xxhash          xxhash-dev
	libzstd-dev            :zstd.h             libzstd-devel        zstd            zstd-dev
	liblz4-dev             :lz4.h              lz4-devel            lz4             lz4-dev
	g++                    g++                 gcc-c++              gcc             g++
	clang-format           clang-format        clang-tools-extra    clang           clang-extra-tools
	lld                    ld.lld              lld                  lld             lld
	libclang-rt-dev        clang               compiler-rt          compiler-rt     compiler-rt
	shellcheck             shellcheck          ShellCheck           shellcheck      shellcheck
	universal-ctags        ctags               ctags                ctags           ctags
	spin                   spin                -                    -               -
	qemu-system-x86        qemu-system-x86_64  qemu-system-x86      qemu-system-x86 qemu-system-x86_64
	qemu-system-arm        qemu-system-aarch64 qemu-system-aarch64 qemu-system-aarch64 qemu-system-aarch64
	busybox-static         busybox             busybox              busybox         busybox-static
	xz-utils               xz                  xz                   xz              xz
	iproute2               ip                  iproute              iproute2        iproute2
	e2fsprogs              mkfs.ext4           e2fsprogs            e2fsprogs       e2fsprogs
	util-linux             unshare             util-linux           util-linux      util-linux
	groff-base             groff               groff-base           groff           groff
	gnuplot-nox            gnuplot             gnuplot              gnuplot         gnuplot
	liburcu-dev            :urcu.h             userspace-rcu-devel  liburcu         userspace-rcu-dev
	cargo                  cargo               cargo                rust            cargo
	dpdk                   true                dpdk                 dpdk            -
	dpdk-dev               dpdk-testpmd        dpdk-tools           dpdk            -
	libdpdk-dev            true                dpdk-devel           dpdk            -
	librust-vm-memory-dev  true                -                    -               -
	librust-pkg-config-dev true                -                    -               -
	libelf-dev             :libelf.h           elfutils-libelf-devel libelf         elfutils-dev
	libssl-dev             :openssl/ssl.h      openssl-devel        openssl         openssl-dev
	gcc-aarch64-linux-gnu  aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc -
	libc6-dev-arm64-cross  aarch64-linux-gnu-gcc - aarch64-linux-gnu-glibc -
	qemu-user-static       qemu-aarch64-static qemu-user-static     qemu-user-static -
	dh-python              dh_python3          -                    -               -
	libpython3-dev         python3-config      python3-devel        python          python3-dev
	dpkg-dev               dpkg-source         dpkg-dev             dpkg            dpkg-dev
	rpm                    rpmbuild            rpm-build            rpm-tools       rpm
	python3-drgn           drgn                drgn                 -               -
	libvirt-daemon         libvirtd            libvirt-daemon       libvirt         libvirt-daemon
	libvirt-daemon-driver-qemu libvirtd        libvirt-daemon-driver-qemu libvirt   libvirt-qemu
	libvirt-clients        virsh               libvirt-client       libvirt         libvirt-client
	musl-tools             musl-gcc            musl-gcc             musl            gcc
	END
}

# column PACKAGE NUMBER: from that table
column()
{
	names | awk -v name="$1" -v nr="$2" '$1 == name { print $nr; found = 1 } END { if (!found) print name }'
}

is_there()
{
	if command -v dpkg-query >/dev/null; then
		[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]
		return
	fi
	thing=$(column "$1" 2)
	case $thing in
	:*) echo "#include <${thing#:}>" | "${CC:-cc}" -E - >/dev/null 2>&1 ;;
	*) command -v "$thing" >/dev/null ;;
	esac
}

# Who makes this system, and whom it follows. (OS_RELEASE: for the test of what others are told.)
system()
{
	# shellcheck source=/dev/null
	(. "${OS_RELEASE:-/etc/os-release}" && echo "${ID:-} ${ID_LIKE:-}") 2>/dev/null || :
}

# What to type here, for want of apt-get.
tell_names()
{
	number='' command=''
	for one in $(system); do
		case $one in
		fedora | rhel | centos) number=3 command='dnf install' ;;
		arch) number=4 command='pacman -S --needed' ;;
		alpine) number=5 command='apk add' ;;
		esac
		[ -z "$number" ] || break
	done
	[ -n "$number" ] || {
		echo "setup: this system has no apt-get; please install what Debian calls:$missing" >&2
		return
	}
	packages='' others=''
	for package in $missing; do
		name=$(column "$package" $number)
		case " $packages " in *" $name "*) continue ;; esac
		if [ "$name" = - ]; then others="$others $package"; else packages="$packages $name"; fi
	done
	[ -z "$others" ] || echo "setup: we know of no package here with what Debian calls:$others" >&2
	[ -n "$packages" ] || exit 0
	echo "setup: this system has no apt-get; please install, as root: $command$packages" >&2
}

# The sanitizers' runtime has the compiler's version in its name.
clang_runtime()
{
	version=$(clang -dumpversion 2>/dev/null) ||
		version=$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p')
	[ -z "$version" ] || echo "libclang-rt-${version%%.*}-dev"
}

find_missing()
{
	missing=
	for package in $wanted; do
		if [ "$package" = libclang-rt-dev ] && command -v dpkg-query >/dev/null; then
			package=$(clang_runtime)
		fi
		[ -z "$package" ] || is_there "$package" || missing="$missing $package"
	done
}

find_missing
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null || [ -n "${OS_RELEASE:-}" ]; then
	tell_names
	exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "setup: not root, and no sudo; please install:$missing" >&2
		exit 1
	fi
	as_root=sudo
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT

logged()
{
	"$@" >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		echo "setup: apt-get failed; please install:$missing" >&2
		exit 1
	}
}

# Only once apt has lists can it tell which clang there is to come.
logged $as_root apt-get update
find_missing
echo "setup: installing$missing" >&2
# shellcheck disable=SC2086 # words
logged $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
