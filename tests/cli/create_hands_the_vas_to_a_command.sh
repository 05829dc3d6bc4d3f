#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The command inherits an fd: VAS_FD, "@FD@" and "{}" tell its number. Its exit code is passed on.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016 # for the shell that is the command
expect 7 create --name "$mine" --memory 1M -- sh -c '
	[ "$1" = "$VAS_FD" ] && [ "$2" = "x${VAS_FD}y$VAS_FD" ] || exit 1
	"$0" info "fd:$VAS_FD" >&2 || exit 2
	"$0" write "$VAS_FD" 0x1000 --string hello || exit 3
	"$0" read "$VAS_FD" 0x1000 5 --raw || exit 4
	exit 7' "$VAS" '{}' 'x@FD@y@FD@' '{}z'
out_is hello
err_has "$mine"

expect 127 create --memory 1M -- "$tmp/nothing"
err_has "there is no command '$tmp/nothing'"
: >"$tmp/file"
expect 126 create --memory 1M -- "$tmp/file"
err_has "cannot run $tmp/file: Permission denied"
expect 125 create --region 1:4K -- true
# shellcheck disable=SC2016
expect 143 create --memory 1M -- sh -c 'kill -TERM $$'
err_has "sh was ended by signal 15 (Terminated)"
