# SPDX-License-Identifier: GPL-2.0-only OR MIT
# shellcheck shell=bash
# Completion of the vas command for bash: verbs, their options, and the names of live vas.

_vas_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "${COMP_WORDS[COMP_CWORD]}")
}

_vas_files()
{
	mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
	compopt -o filenames 2>/dev/null # there is nothing to tell where no completion is under way
}

# Names may hold blanks, so they go line by line, and are quoted.
_vas_names()
{
	local name word=${COMP_WORDS[COMP_CWORD]}

	while IFS= read -r name; do
		[[ $name == "$word"* ]] && COMPREPLY+=("$(printf %q "$name")")
	done < <("${COMP_WORDS[0]}" ls --quiet 2>/dev/null)
}

# Options are read from the verb's own help, so that there is one list of them.
_vas_options()
{
	_vas_words "$("${COMP_WORDS[0]}" "$1" --help 2>/dev/null |
		sed -n 's/^ *\(-[a-z], \)\{0,1\}\(--[a-z0-9-]*\).*/\2/p') --help"
}

_vas_verbs()
{
	_vas_words "$("${COMP_WORDS[0]}" --help 2>/dev/null |
		sed -n 's/^  \([a-z]*\)  *[A-Z].*/\1/p') help --help --version"
}

_vas_value()
{
	case $1 in
	--machine)
		_vas_words "pc q35 microvm virt flat"
		;;
	--disks)
		mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
		;;
	-o | --columns)
		case ${COMP_WORDS[1]} in
		ls) _vas_words "name pid/fd size resident regions binders owner attached events held-by" ;;
		top) _vas_words "name owner size resident written/s working-set binders devices state" ;;
		bus) _vas_words "device kind state served-by queues size depth requests/s kicks/s calls/s errors grants" ;;
		*) _vas_files ;;
		esac
		;;
	--output | -f | --file | --parent | --path | --vhost-user | --guest)
		_vas_files
		;;
	--sort)
		_vas_words "resident dirty working-set size name"
		;;
	--engine)
		_vas_words "auto sync io_uring"
		;;
	--format)
		_vas_words "raw elf elf-headers lime"
		;;
	-z | --compress)
		_vas_words "lz4 zstd"
		;;
	-m | --memory | -l | --limit | -n | --name | --region | -x | --hex | -s | --string | --max | \
		--range | --threads | -c | --cell | --channels | -r | --rate | --delay | \
		--number | --downtime | --cr3 | --ttbr | --context | --regex | \
		--null | --serial | --num-queues | --poll | --listen)
		# Only the user knows.
		;;
	*)
		return 1
		;;
	esac
}

# What follows "--" is a command of its own.
_vas_command()
{
	local i

	for ((i = 2; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -- ]] || continue
		if ((i + 1 == COMP_CWORD)); then
			mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
		else
			_vas_files
		fi
		return 0
	done
	return 1
}

# What is no option: files, where a verb takes them, or the name of a vas.
_vas_argument()
{
	case $1 in
	create | hold | run | ls) ;;
	device)
		((COMP_CWORD > 2)) || _vas_words "blk console net rng vsock"
		;;
	top | metrics | pause | resume | plug | unplug | bus)
		_vas_names
		;;
	clone)
		_vas_files
		local files=("${COMPREPLY[@]}")
		COMPREPLY=()
		_vas_names
		COMPREPLY+=("${files[@]}")
		;;
	restore | receive)
		_vas_files
		;;
	snapshot | send)
		if ((COMP_CWORD == 2)); then _vas_names; else _vas_files; fi
		;;
	*)
		((COMP_CWORD > 2)) || _vas_names
		;;
	esac
}

_vas()
{
	local verb=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]}

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		_vas_verbs
	elif [[ $verb == help ]]; then
		_vas_verbs
	elif _vas_command; then
		return
	elif [[ $word == -* ]]; then
		_vas_options "$verb"
	elif _vas_value "${COMP_WORDS[COMP_CWORD - 1]}"; then
		return
	else
		_vas_argument "$verb"
	fi
}

complete -F _vas vas
