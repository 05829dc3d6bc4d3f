#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# bash completes verbs, a verb's options, and the names of vas that are there.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need bash

create "$mine-one" --memory 1M
completion=$(cd "$(dirname "$0")/../../cli" && pwd)/completion.bash

# completes WORD...: what the last of the words may become
completes()
{
	# shellcheck disable=SC2016 # for bash
	bash -c '
		. "$1"
		shift
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_vas
		printf "%s\n" "${COMPREPLY[@]}"' - "$completion" "$VAS" "$@" >"$tmp/out" 2>"$tmp/err"
	ran="completion of '$*'"
	err_is ""
}
completes cr
out_is create
completes ""
for verb in create run ls top info read write fill find compare dump map snapshot restore clone help; do
	grep -qx $verb "$tmp/out" || die "$verb is not offered"
done
completes read "$mine"
out_is "$mine-one"
completes find x --cou
out_is --count
completes create --ma
out_is --machine
completes create --machine q
out_is q35
completes run -- bas
grep -qx bash "$tmp/out" || die "no command is offered"
: >"$tmp/monday.snapshot"
for line in "snapshot x" "snapshot --parent" "restore" "send x"; do
	# shellcheck disable=SC2086 # words
	completes $line "$tmp/mon"
	out_is "$tmp/monday.snapshot"
done
completes snapshot "$mine"
out_is "$mine-one"
completes top --sort w
out_is working-set
completes dump --format e
out_is elf
completes read --c
out_is --cr3
