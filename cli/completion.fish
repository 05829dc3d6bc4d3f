# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Completion of the vas command for fish: verbs, their options, and the names of live vas.

# Verbs and options are read from the command's own help, so that there is one list of them.
function __vas_verbs
	command $argv[1] --help 2>/dev/null | string replace -rf '^  ([a-z]+) +([A-Z].*)' '$1\t$2'
	printf '%s\t%s\n' help 'Tell more of a verb.'
end

function __vas_options
	command $argv[1] $argv[2] --help 2>/dev/null |
		string replace -rf '^ *(?:-., )?(--[a-z0-9-]+)(?:[= ]\S+)? *(\S.*)' '$1\t$2'
	echo -- --help
end

function __vas_names
	command $argv[1] ls --quiet 2>/dev/null
end

# What the verb's help calls the value of an option: FILE, say; nothing if it has none.
# __vas_value_name COMMAND VERB OPTION
function __vas_value_name
	string match -qr '^-([a-zA-Z]|-[a-z0-9-]+)$' -- $argv[3]; or return
	command $argv[1] $argv[2] --help 2>/dev/null |
		string replace -rf '^ *(?:-., )?'$argv[3]'(?:, --[a-z0-9-]+)?[= ]([A-Z]+)([^a-z].*)?$' '$1'
end

# What an option's value may be: __vas_value COMMAND VERB OPTION WORD. False for options without a value.
function __vas_value
	switch $argv[3]
		case --machine
			printf '%s\n' pc q35 microvm virt flat
		case --engine
			printf '%s\n' auto sync io_uring
		case --format
			printf '%s\n' raw elf elf-headers lime
		case -s --sort
			test "$argv[2]" != top; or printf '%s\n' resident dirty working-set size name
		case -z --compress
			printf '%s\n' lz4 zstd
		case '*'
			switch (__vas_value_name $argv[1..3])
				case FILE PATH LINK
					__fish_complete_path $argv[4]
				case LIST
					printf '%s\n' name pid/fd owner size resident regions binders attached \
						events written/s working-set devices state held-by device kind \
						served-by queues depth requests/s kicks/s calls/s errors grants
				case ''
					return 1
				# All others: only the user knows.
			end
	end
end

# What is no option: files, where a verb takes them, or the name of a vas.
function __vas_argument
	set -l nr (count $argv)
	switch $argv[2]
		case create hold run ls
		case device
			test $nr -gt 3; or printf "%s\n" blk console net rng vsock
		case top metrics pause resume plug unplug bus
			__vas_names $argv[1]
		case clone
			__vas_names $argv[1]
			__fish_complete_path $argv[-1]
		case restore receive
			__fish_complete_path $argv[-1]
		case snapshot send
			if test $nr -eq 3
				__vas_names $argv[1]
			else
				__fish_complete_path $argv[-1]
			end
		case '*'
			test $nr -gt 3; or __vas_names $argv[1]
	end
end

function __vas_complete
	set -l words (commandline -opc)
	set -l word (commandline -ct)
	set -l nr (count $words)

	if test $nr -eq 1; or test "$words[2]" = help
		__vas_verbs $words[1]
	else if set -l dashes (contains -i -- -- $words)
		# What follows "--" of create and run is a command of its own.
		complete -C (string join ' ' -- (string escape -- $words[(math $dashes + 1)..-1]) "$word")
	else if string match -q -- '-*' "$word"
		set -l parts (string split -m 1 = -- $word)
		if set -q parts[2]
			for value in (__vas_value $words[1..2] $parts)
				printf '%s=%s\n' $parts[1] $value
			end
		else
			__vas_options $words[1] $words[2]
		end
	else
		__vas_value $words[1..2] $words[-1] "$word"; or __vas_argument $words "$word"
	end
end

complete -c vas -f -a '(__vas_complete)'
