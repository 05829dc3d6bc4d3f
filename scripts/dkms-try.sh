#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Build the modules by DKMS, as a system that has them installed does with each new kernel; but in
# folders of its own, and for a kernel from kernel.sh: nothing is installed.
#
# exit status: 0 = all modules are there, 1 = not, 77 = cannot try
# needs: dkms; and what kernel.sh needs
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$scripts")

skip()
{
	echo "skip: $*"
	exit 77
}

[ $# = 1 ] || {
	echo "usage: dkms-try.sh NAME        of a kernel that kernel.sh has fetched, with headers" >&2
	exit 1
}
command -v dkms >/dev/null || skip "dkms is missing; please install it"
headers=$(realpath "$("$scripts/kernel.sh" path "$1" headers)")
release=$("$scripts/kernel.sh" path "$1" version)
[ ! -d "$("$scripts/kernel.sh" cache)/kernels/$1/headers/toolchain" ] ||
	skip "kernel $1 wants a compiler that this system does not have"

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
version=$(sed -n 's/^PACKAGE_VERSION=//p' "$top/dkms.conf")
source=$temp/src/vas-$version
mkdir -p "$source" "$temp/dkms" "$temp/install"
(cd "$top" && cp -r dkms.conf core include kernel examples "$source/")
dkms build -m vas -v "$version" -k "$release" -a x86_64 --kernelsourcedir "$headers" \
	--dkmstree "$temp/dkms" --sourcetree "$temp/src" --installtree "$temp/install" \
	--no-depmod >"$temp/log" 2>&1 || {
	cat "$temp/log"
	find "$temp/dkms" -name make.log -exec tail -n 30 {} +
	exit 1
}
for module in vas vas_virtqueue vas_blk vas_net vas_example; do
	found=$(find "$temp/dkms/vas/$version/$release" -name "$module.ko*")
	[ -n "$found" ] || {
		echo "no $module.ko"
		exit 1
	}
done
