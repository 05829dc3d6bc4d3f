#compdef vas
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Completion of the vas command for zsh: verbs, their options, and the names of live vas.

# Verbs and options are read from the command's own help, so that there is one list of them.
_vas_verbs()
{
	local -a verbs
	verbs=(${(f)"$($words[1] --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  *\([A-Z].*\)/\1:\2/p')"}
		'help:Tell more of a verb.')
	_describe verb verbs
}

_vas_options()
{
	local -a options
	options=(${(f)"$($words[1] $words[2] --help 2>/dev/null |
		sed -nE 's/^ *(-., )?(--[a-z0-9-]+)([= ][^ ]+)? *([^ ].*)/\2:\4/p')"}
		'--help:Tell more of this verb.')
	_describe option options
}

_vas_names()
{
	compadd -- ${(f)"$($words[1] ls --quiet 2>/dev/null)"}
}

# What the verb's help calls the value of an option: FILE, say; nothing if it has none.
_vas_value_name()
{
	[[ $1 == -[a-zA-Z] || $1 == --[a-z]* ]] || return
	$words[1] $words[2] --help 2>/dev/null |
		sed -nE "s/^ *(-., )?$1(, --[a-z0-9-]+)?[= ]([A-Z]+)([^a-z].*)?$/\\3/p"
}

# What an option's value may be. False for options without a value.
_vas_value()
{
	case $1 in
	(--disks) _command_names ;;
	(--machine) compadd pc q35 microvm virt flat ;;
	(-o | --columns)
		case $words[2] in
		(ls) compadd name pid/fd size resident regions binders owner attached events held-by ;;
		(top) compadd name owner size resident written/s working-set binders devices state ;;
		(bus) compadd device kind state served-by queues size depth requests/s kicks/s calls/s errors grants ;;
		(*) _files ;;
		esac
		;;
	(--engine) compadd auto sync io_uring ;;
	(--format) compadd raw elf elf-headers lime ;;
	(--sort) compadd resident dirty working-set size name ;;
	(-z | --compress) compadd lz4 zstd ;;
	(*)
		case $(_vas_value_name $1) in
		('') return 1 ;;
		(FILE | PATH | LINK) _files ;;
		(*) _message 'only you know' ;;
		esac
		;;
	esac
}

# What is no option: files, where a verb takes them, or the name of a vas.
_vas_argument()
{
	case $1 in
	(create | hold | run | ls) ;;
	(device) ((CURRENT > 3)) || compadd blk console net rng vsock ;;
	(top | metrics | pause | resume | plug | unplug | bus) _vas_names ;;
	(clone) _vas_names; _files ;;
	(restore | receive) _files ;;
	(snapshot | send) if ((CURRENT == 3)); then _vas_names; else _files; fi ;;
	(*) ((CURRENT > 3)) || _vas_names ;;
	esac
}

_vas()
{
	local dashes=${words[(i)--]}

	if ((CURRENT == 2)) || [[ $words[2] == help ]]; then
		_vas_verbs
	elif ((dashes < CURRENT)); then
		# What follows "--" of create and run is a command of its own.
		shift $dashes words
		((CURRENT -= dashes))
		_normal
	elif [[ $words[CURRENT] == --*=* ]]; then
		local option=${words[CURRENT]%%=*}
		compset -P '*='
		_vas_value $option
	elif [[ $words[CURRENT] == -* ]]; then
		_vas_options
	else
		_vas_value $words[CURRENT-1] || _vas_argument $words[2]
	fi
}

_vas "$@"
