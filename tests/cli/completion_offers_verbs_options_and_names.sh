#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Every shell completes verbs, a verb's options, and the names of vas that are there.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

create "$mine-one" --memory 1M
completions=$(cd "$(dirname "$0")/../../cli" && pwd)
PATH=$(dirname "$VAS"):$PATH

# What the last of the words vas WORD... may become, a line each.
# shellcheck disable=SC2016 # for the shells
bash_completes()
{
	bash -c '
		. "$1"
		shift
		COMP_WORDS=(vas "$@")
		COMP_CWORD=$#
		_vas
		printf "%s\n" "${COMPREPLY[@]}"' - "$completions/completion.bash" "$@"
}

fish_completes()
{
	fish --no-config --command "source $completions/completion.fish; complete -C 'vas $*'" | cut -f 1
}

# With stand-ins for the parts of its completion system, which wants a terminal.
# shellcheck disable=SC2016 # for the shells
zsh_completes()
{
	zsh -f -c '
		completion=$1
		shift
		words=(vas "$@") CURRENT=$(($# + 1))
		offer() { print -rl -- ${(M)@:#${words[CURRENT]}*} }
		compadd() { offer ${@:#--} }
		_describe() { offer ${(@)${(P)2}%%:*} }
		_files() { offer ${words[CURRENT]}*(N) }
		compset() { words[CURRENT]=${words[CURRENT]#${~2}} }
		_normal() { offer ${(k)commands} }
		_message() { : }
		. $completion' - "$completions/completion.zsh" "$@"
}

completes()
{
	"${shell}_completes" "$@" >"$tmp/out" 2>"$tmp/err"
	ran="$shell's completion of '$*'"
	err_is ""
}

check()
{
	completes cr
	out_is create
	completes ""
	for verb in create run ls top info read write fill find compare dump map snapshot restore clone device bus help; do
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
	completes device b
	out_is blk
	completes device n
	out_is net
	completes device blk --engine s
	out_is sync
	completes run -- bas
	grep -qx bash "$tmp/out" || die "no command is offered"
	for line in "snapshot x" "snapshot --parent" "restore" "send x"; do
		# shellcheck disable=SC2086 # words
		completes $line "$tmp/mon"
		out_is "$tmp/monday.snapshot"
	done
	for option in connect to pty uds-path listen vhost-user guest path; do
		completes device console --$option "$tmp/mon"
		out_is "$tmp/monday.snapshot"
	done
	# Of an option's value only the user knows: it is no name of a vas.
	for line in "find x --context" "create --name" "receive -w" "device net --tap"; do
		# shellcheck disable=SC2086 # words
		completes $line "$mine"
		out_is ""
	done
	completes snapshot "$mine"
	out_is "$mine-one"
	completes top --sort w
	out_is working-set
	completes read x --c
	out_is --cr3
}

# "--to=FILE" is three words to bash, and one to the others, of which zsh is told to drop the beginning.
check_bash_joined()
{
	completes device console --to = "$tmp/mon"
	out_is "$tmp/monday.snapshot"
	completes device blk --engine =
	out_is "auto
sync
io_uring"
}

check_zsh_joined()
{
	completes device console "--to=$tmp/mon"
	out_is "$tmp/monday.snapshot"
}

check_fish_joined()
{
	completes device console "--to=$tmp/mon"
	out_is "--to=$tmp/monday.snapshot"
}

tried=
: >"$tmp/monday.snapshot"
for shell in bash fish zsh; do
	command -v $shell >/dev/null || continue
	check
	check_${shell}_joined
	tried="$tried $shell"
done
[ -n "$tried" ] || skip "there is no bash, fish or zsh"
