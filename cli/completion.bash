# SPDX-License-Identifier: GPL-2.0-only OR MIT
# shellcheck shell=bash
# Completion of the vas command for bash: verbs, their options, and the names of live vas.
# What is completed is in $word, a variable of _vas().

_vas_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word")
}

_vas_files()
{
	mapfile -t COMPREPLY < <(compgen -f -- "$word")
	compopt -o filenames 2>/dev/null # there is nothing to tell where no completion is under way
}

# Names may hold blanks, so they go line by line, and are quoted.
_vas_names()
{
	local name

	while IFS= read -r name; do
		[[ $name == "$word"* ]] && COMPREPLY+=("$(printf %q "$name")")
	done < <("${COMP_WORDS[0]}" ls --quiet 2>/dev/null)
}

# What the verb's help calls the value of an option: FILE, say; nothing if it has none.
_vas_value_name()
{
	[[ $1 =~ ^-[a-zA-Z]$ || $1 =~ ^--[a-z0-9-]+$ ]] || return
	"${COMP_WORDS[0]}" "${COMP_WORDS[1]}" --help 2>/dev/null |
		sed -nE "s/^ *(-., )?$1(, --[a-z0-9-]+)?[= ]([A-Z]+)([^a-z].*)?$/\\3/p"
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
		mapfile -t COMPREPLY < <(compgen -c -- "$word")
		;;
	-o | --columns)
		case ${COMP_WORDS[1]} in
		ls) _vas_words "name pid/fd size resident regions binders owner attached events held-by" ;;
		top) _vas_words "name owner size resident written/s working-set binders devices state" ;;
		bus) _vas_words "device kind state served-by queues size depth requests/s kicks/s calls/s errors grants" ;;
		*) _vas_files ;;
		esac
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
	*)
		case $(_vas_value_name "$1") in
		'') return 1 ;;
		FILE | PATH | LINK) _vas_files ;;
		*) ;; # only the user knows
		esac
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
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
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

# "--to=FILE" comes as three words.
_vas()
{
	local verb=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	if [[ $word == = ]]; then
		word=
	elif [[ $before == = ]]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	if ((COMP_CWORD == 1)); then
		_vas_verbs
	elif [[ $verb == help ]]; then
		_vas_verbs
	elif _vas_command; then
		return
	elif [[ $word == -* ]]; then
		_vas_options "$verb"
	elif _vas_value "$before"; then
		return
	else
		_vas_argument "$verb"
	fi
}

complete -F _vas vas
