#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Each block of code in a page does what it says: a block with a file's name in its first line is that
# file; the lines with a dollar of another are one shell's commands, and all others are what they print,
# but for what PID/FD is. A module is built, and not loaded.
# usage: SCRIPT SOURCE-DIR BUILD-DIR PAGE PYTHON (empty: the module is not built)
set -eu

source=$1 build=$2 page=$1/$3 python=$4
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
# By these names, and no others: what others run here is called "guest", too, perhaps.
mkdir bin
ln -s "$build/cli/vas" bin/vas
printf '#!/bin/sh\nexec %s "$@"\n' "${python:-$(command -v python3)}" >bin/python3
chmod +x bin/python3
export PATH="$temp/bin:$PATH" PKG_CONFIG_PATH=$build/meson-uninstalled VAS_RUN_DIR=$temp/run
export LD_LIBRARY_PATH=$build/lib:$build/migrate PYTHONPATH=$build/bindings/python
awk '/^```/ { inside = !inside; nr += inside; next } inside { print >("block" sprintf("%02d", nr)) }' "$page"
sed -i "s/\\bguest\\b/guest$$/g" block*

# The kernel that runs, or the one that others test with.
headers=/lib/modules/$(uname -r)/build
[ -e "$headers" ] || headers=$("$source/scripts/kernel.sh" path 6.1 headers 2>/dev/null) || headers=

kvm_works()
{
	python3 -c 'import fcntl; fcntl.ioctl(open("/dev/kvm", "r+b", 0), 0xae01, 0)' 2>/dev/null
}

# Why a block cannot be run here, if it cannot.
obstacle()
{
	case $(cat "$1") in
	*insmod*) echo "modules are not loaded here" ;;
	*python3*) [ -n "$python" ] || echo "the Python module is not built" ;;&
	*qemu-system-x86_64*) command -v qemu-system-x86_64 >/dev/null || echo "no qemu-system-x86_64" ;;
	*./vmm*) kvm_works || echo "no KVM" ;;
	*KERNEL*) [ -n "$headers" ] || echo "no kernel headers" ;;
	esac
}

same_ids()
{
	sed -E 's,^[0-9]+/[0-9]+$,PID/FD,'
}

ran=0
for block in block*; do
	file=$(sed -nE '1s,^(/\* |# )([a-z]+\.[a-z]+|Kbuild)( \*/)?$,\2,p' "$block")
	[ -z "$file" ] || {
		cp "$block" "$file"
		continue
	}
	grep -q '^\$ ' "$block" || continue
	why=$(obstacle "$block")
	[ -z "$why" ] || {
		echo "# skip: $(sed -n '1s/^\$ //p' "$block"): $why"
		continue
	}
	if grep -q KERNEL "$block"; then
		mkdir source
		cp -r "$source"/{core,examples,include,kernel} source/
		sed -i "s,VAS=.*,VAS=$temp/source KERNEL=$headers," "$block"
	fi
	# Job control, so that "%1" is a whole job; its messages are not what is compared.
	{
		echo 'set -m'
		echo 'trap "kill \$(jobs -p) 2>/dev/null" EXIT'
		sed -n 's/^\$ //p' "$block"
	} >commands
	timeout 300 bash commands >printed 2>said </dev/null || true
	diff <(grep -v '^\$ ' "$block" | same_ids) <(same_ids <printed | sed -e '$a\') >differs || {
		cat "$block" differs said
		exit 1
	}
	ran=$((ran + 1))
done
[ $ran -ge 4 ]
