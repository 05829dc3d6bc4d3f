#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Each command in the manual's section 1 does what its page says: lines with a dollar are typed, others are
# what they print, among other things. A block with commands and no dollar, in any page, is a mistake; one
# that begins with root's prompt is not typed. Nor is what needs a Linux guest, and its symbols (vmlinux,
# makedumpfile) or its letting memory go (unplug): tests/vm has those.
# usage: SCRIPT MAN-DIR
set -eu
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
HUP_IS_DEFAULT=1 . "$(dirname "$0")/../cli/lib.sh"
need qemu-system-x86_64
need python3
man=$(realpath "$1")
mkdir "$tmp/bin" "$tmp/there"
ln -s "$(command -v "$VAS")" "$tmp/bin/vas"
PATH=$tmp/bin:$PATH

# Of the pages' world: a disk that is booted from and says what it is, programs that are given a vas.
make_files()
{
	# shellcheck disable=SC2016 # for the programs
	printf '#!/bin/sh\nexec head -c 16 "/proc/self/fd/$2"\n' >reader
	# shellcheck disable=SC2016 # likewise
	printf '#!/bin/sh\nexec vas info "fd:$2"\n' >"$tmp/bin/tinyvmm"
	chmod +x reader "$tmp/bin/tinyvmm"
	python3 - <<-'END'
		image = b"\xeb\xfeLinux version 6.1.0".ljust(510, b"\0") + b"\x55\xaa"
		open("disk.img", "wb").write(image.ljust(1 << 20, b"\0"))
	END
}

end_all()
{
	for process in $started; do
		kill "$process" 2>/dev/null || continue
		wait "$process" 2>/dev/null || true
	done
	started=
}

# A Linux, as far as the pages look: its banner, a bug, and page tables for the kernel's first 64 MiB.
make_guest()
{
	create "$mine-guest" --memory 512M --machine flat
	vas write "$mine-guest" 0x1000 --string hello
	vas write "$mine-guest" 0x2a000a0 --string "Linux version 6.1.0"
	vas write "$mine-guest" 0x3000000 --string "BUG: kernel NULL pointer dereference"
	for entry in 0x260aff8=0x260b003 0x260bff0=0x260c003; do
		poke "${entry%=*}" "${entry#*=}"
	done
	for ((i = 0; i < 32; i++)); do
		poke $((0x260c000 + (8 + i) * 8)) $((0x1000000 + (i << 21) + 0x83))
	done
}

poke()
{
	python3 -c 'import struct, sys; sys.stdout.buffer.write(struct.pack("<Q", int(sys.argv[1], 0)))' "$2" |
		vas write "$mine-guest" "$1"
}

# What differs from run to run.
plain()
{
	sed -E 's,[0-9]+/[0-9]+,PID/FD,g; s,process [0-9]+,process PID,g; s,[0-9]+\.[0-9]+ ms,TIME,g
		s,QEMU [0-9.]+,QEMU VERSION,g'
}

has_printed()
{
	local line

	while IFS= read -r line; do
		plain <"$tmp/printed" | grep -qxF -e "$(printf '%s\n' "$line" | plain)" || return 1
	done <"$tmp/expected"
}

does_it()
{
	eval "$command" >"$tmp/printed" 2>&1 && has_printed
}

type_it()
{
	[ -n "$command" ] || return 0
	echo "# $page: $command"
	program=${command%% *}
	case $command in
	*vmlinux* | makedumpfile* | *"vas unplug "*) return ;;
	*"&")
		: >"$tmp/printed"
		eval "${command%&} >>\"\$tmp/printed\" 2>&1 &"
		started="$started $!"
		wait_until has_printed || die "$page: $command"
		;;
	*)
		command -v "$program" >/dev/null || {
			echo "# $program is not here"
			return
		}
		# A guest of the line before may still be on its way.
		(wait_until does_it) ||
			die "$page: $command: printed '$(cat "$tmp/printed")', not '$(cat "$tmp/expected")'"
		;;
	esac
	nr=$((nr + 1))
}

# Lines of the blocks of a page: names are this test's own, and folders are $tmp's.
blocks()
{
	awk '/^```$/ { inside = !inside; if (inside) block = ""; else if (block !~ /^# /) print block "```" }
		inside && !/^```$/ { block = block $0 "\n" }' "$man/$page" |
		sed -e "s,/run/guest,$tmp/there,g; s,/var/lib/prometheus/node-exporter,$tmp/there,g" \
			-e "s/\bguest\b/$mine-guest/g; s/ \.\.\.//g" -e 's/\\\\$/\\/'
}

nr=0
for page in $(cd "$man" && grep -lE '^(\$ |VAS_OPTIONS=)' -- *.1.scd); do
	rm -rf "$tmp/work"
	mkdir "$tmp/work"
	cd "$tmp/work"
	make_files
	grep -q -- '--name guest' "$man/$page" || make_guest
	command=''
	: >"$tmp/expected"
	while IFS= read -r line <&5; do
		case $line in
		'```' | '' | '$ '* | VAS_OPTIONS=*)
			type_it
			command=''
			: >"$tmp/expected"
			;;
		*)
			if [ -n "$command" ] && [ "${command%\\}" != "$command" ]; then
				command=${command%\\}${line#"	"}
			else
				printf '%s\n' "$line" >>"$tmp/expected"
			fi
			;;
		esac
		case $line in
		'$ '*) command=${line#??} ;;
		VAS_OPTIONS=*) command="vas create --name $mine-hold ${line#*=} &" ;;
		esac
	done 5< <(blocks)
	end_all
done
[ "$nr" -gt 12 ] || die "only $nr commands were found"

bad=$(awk '/^```/ { inside = !inside; first = 1; next }
	inside && first { typed = /^[$#] /; first = 0 }
	inside && !typed && /^(vas|qemu-system-[a-z0-9_]*|drgn|gdb|crash) / { print FILENAME ": " $0 }' "$man"/*.scd)
[ -z "$bad" ] || die "commands that nobody types: $bad"
