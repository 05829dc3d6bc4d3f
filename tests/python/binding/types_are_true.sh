#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The module's stub says of each name, argument and default what the module says itself.
# usage: SCRIPT PYTHON STUB-DIR ALLOWED
set -eu

python=$1
"$python" -c 'import mypy.stubtest' 2>/dev/null || {
	echo "skip: mypy is not installed"
	exit 77
}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp" # mypy leaves a cache
MYPYPATH=$2 "$python" -m mypy.stubtest --allowlist "$3" --ignore-unused-allowlist vas

# And it finds a mistake, and none where there is none.
printf 'import vas\nwith vas.create(1 << 26) as v:\n\tv.write(0, %s)\n' "b'bytes'" >good.py
printf 'import vas\nwith vas.create(1 << 26) as v:\n\tv.write(0, %s)\n' "'text'" >bad.py
MYPYPATH=$2 "$python" -m mypy --strict good.py
if MYPYPATH=$2 "$python" -m mypy --strict bad.py; then
	echo "text passed for bytes"
	exit 1
fi
