#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# PID/FD, name, uuid, and the number of an inherited fd, plain or as fd:N.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --memory 1M
expect 0 info "$mine" --json
uuid=$(json "j['uuid']")
exec 7<"/proc/$pid/fd/${ref#*/}"
for name in "$mine" "$ref" "$uuid" 7 fd:7; do
	expect 0 info "$name" --json
	is_equal "$(json "j['uuid']")" "$uuid" "$name"
done

expect 1 info "$mine-not"
err_has "no vas is named '$mine-not'"
expect 1 info 9
err_has "9: this command inherits no such file descriptor"
expect 1 info 999999999/3
err_has "there is no such process"
expect 3 info "$pid/1"
err_has "$pid/1: "
exec 8</dev/null
expect 3 info fd:8
err_has "is no vas"

# Two of one name are told apart by PID/FD, and the message says so.
first=$ref
create "$mine" --memory 1M
expect 1 info "$mine"
err_has "more than one vas is named '$mine'"
err_has "$first"
err_has "$ref"
expect 0 info "$ref"
