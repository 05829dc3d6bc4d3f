# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Linux guests that count and check their memory, in QEMUs under TCG, for tests of the vas command; to
# be sourced after ../cli/lib.sh, with the machine and the MiB in $machine and $mib, and modules for the
# guest, if it needs some, in $modules. $QEMU: "newer" takes another one than the system's, as
# scripts/qemu.sh has it.
#
#	make_guest			the kernel and an initramfs: $kernel, $initramfs
#	qemu SERIAL			$command: QEMU's words, with the console in a file
#	boot NAME SERIAL		vas run in the background: $pid; the guest has counted to 3
#	last SERIAL			the last number on a console
#	counts_on SERIAL FROM		wait until it has got five numbers further; none was broken

scripts=$(cd "$(dirname "$0")/../../scripts" && pwd)
# shellcheck source-path=SCRIPTDIR/../../scripts source=../../scripts/vm-machine.sh
. "$scripts/vm-machine.sh"

program=qemu-system-x86_64
if [ "${QEMU:-}" = newer ]; then
	program=$("$scripts/qemu.sh" path) || skip "a newer QEMU is not in the cache: scripts/qemu.sh fetch"
fi

# Those in $modules, and what they need.
add_modules()
{
	[ -n "${modules:-}" ] || return 0
	mkdir "$tmp/root/modules"
	# shellcheck disable=SC2086 # words
	"$scripts/kernel.sh" modules 6.1 $modules >"$tmp/modules"
	nr=10
	while read -r file; do
		cp "$file" "$tmp/root/modules/$nr-${file##*/}"
		nr=$((nr + 1))
	done <"$tmp/modules"
}

make_guest()
{
	need qemu-system-x86_64 cpio
	kernel=$("$scripts/kernel.sh" path 6.1 vmlinux) || skip "kernel 6.1 is not in the cache"
	mkdir -p "$tmp/root/dev" "$tmp/root/proc"
	cp "$COUNTING_INIT" "$tmp/root/init"
	add_modules
	initramfs=$tmp/initramfs
	machine_initramfs "$tmp/root" "$initramfs"
}

# Words without blanks: $tmp has none.
qemu()
{
	acpi=
	[ "$machine" != microvm ] || acpi=acpi=off
	command="$program -M $machine -accel tcg,thread=multi -cpu max -smp 2 -m ${mib}M -nodefaults
		-display none -no-reboot -serial file:$1 -kernel $kernel -initrd $initramfs"
	append="$(machine_cmdline) $acpi vas_seed=$((mib % 1000)) ${cmdline:-}"
}

last()
{
	sed -n 's/^.*count: \([0-9]*\),.*/\1/p' "$1" | tail -n 1
}

is_beyond()
{
	! grep -q BROKEN "$1" || die "$(grep BROKEN "$1" | head -n 3)"
	reached=$(last "$1")
	[ "${reached:-0}" -gt "$2" ]
}

counts_on()
{
	wait_until is_beyond "$1" $(($2 + 5))
}

boot()
{
	qemu "$2"
	# shellcheck disable=SC2086 # words
	"$VAS" run --name "$1" ${run_opts:-} -- $command -append "$append" ${more:-} >"$tmp/run.out" 2>"$tmp/run.err" &
	pid=$!
	started="$started $pid"
	counts_on "$2" 0
}

# The numbers on a console follow each other: nothing was done twice, and nothing left out.
is_gapless()
{
	sed -n 's/^.*count: \([0-9]*\),.*/\1/p' "$1" | awk -v from="$2" '
		NR == 1 && from && $1 != from { print "begins with " $1 ", not " from; exit 1 }
		NR > 1 && $1 != before + 1 { print $1 " after " before; exit 1 }
		{ before = $1 }' || die "$1: the numbers do not follow each other"
}

run_folder_is_empty()
{
	[ -z "$(ls -A "$VAS_RUN_DIR")" ]
}
