#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# On stderr: name, PID/FD, and where the memory is; nothing of its own on stdout, and --quiet: nothing.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

expect 0 run --name "$mine" --memory 4G --machine q35 -- sh -c 'echo out; echo err >&2'
out_is out
err_has "vas run: $mine = "
err_has "is the memory of sh"
err_has "        0x0     2 GiB  ram-below-4g"
err_has "0x100000000     2 GiB  ram-above-4g"
expect 0 run --quiet --memory 1M -- sh -c 'echo err >&2'
err_is err
