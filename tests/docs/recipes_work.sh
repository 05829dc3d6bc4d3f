#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Each block of code in vas(7) does what it says: a block with a file's name in its first line is that
# file; the lines with a dollar of another are one shell's commands, and all others are what they print,
# but for what PID/FD is.
# usage: SCRIPT SOURCE-DIR BUILD-DIR PYTHON (empty: the module is not built)
set -eu

page=$1/man/vas.7.scd build=$2 python=$3
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
# By these names, and no others: what others run here is called "guest", too, perhaps.
mkdir bin
ln -s "$build/cli/vas" bin/vas
printf '#!/bin/sh\nexec %s "$@"\n' "${python:-false}" >bin/python3
chmod +x bin/python3
export PATH="$temp/bin:$PATH" PKG_CONFIG_PATH=$build/meson-uninstalled VAS_RUN_DIR=$temp/run
export LD_LIBRARY_PATH=$build/lib:$build/migrate PYTHONPATH=$build/bindings/python
awk '/^```$/ { inside = !inside; nr += inside; next } inside { print >("block" sprintf("%02d", nr)) }' "$page"
sed -i "s/\\bguest\\b/guest$$/g" block*

same_ids()
{
	sed -E 's,^[0-9]+/[0-9]+$,PID/FD,'
}

ran=0
for block in block*; do
	file=$(sed -nE '1s,^(/\* |# )([a-z]+\.[a-z]+)( \*/)?$,\2,p' "$block")
	[ -z "$file" ] || {
		cp "$block" "$file"
		continue
	}
	grep -q '^\$ ' "$block" || continue
	if [ -z "$python" ] && grep -q python3 "$block"; then
		continue
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
