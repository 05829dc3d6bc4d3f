# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# What the scripts that boot a machine share: its kernel's command line, its initramfs, and where
# QEMU puts RAM. To be sourced by a script that has done set -eu.

machine_die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# A stock kernel does much at boot that a test machine never needs: self tests of ciphers,
# certificates, the tables of kprobes, mitigations. Without them, and with the ELF kernel entered by
# PVH, init runs after about 2 s under TCG. An initcall that a kernel does not have is ignored. What
# takes less than four minutes does not hang: the host may be busy.
machine_cmdline()
{
	skip=load_system_certificate_list,init_kprobe_trace,crypto_algapi_init,cubictcp_register
	echo "console=ttyS0 panic=-1 quiet nokaslr mitigations=off rodata=off audit=0 lsm=" \
		"cryptomgr.notests=1 initcall_blacklist=$skip ipv6.disable=1 nowatchdog" \
		"random.trust_cpu=on tsc=reliable no_timer_check reboot=t" \
		"rcupdate.rcu_cpu_stall_timeout=240 sysctl.kernel.hung_task_timeout_secs=240"
}

# machine_initramfs FOLDER FILE: pack a folder, the same bytes for the same content
machine_initramfs()
{
	(cd "$1" && find . -mindepth 1 | LC_ALL=C sort |
		cpio --quiet -o -H newc --reproducible -R 0:0) >"$2"
}

# machine_program PROGRAM SOURCE...: build a program that runs where there is nothing else
machine_program()
{
	"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -static -s -o "$@" ||
		machine_die "cannot build $1 (is a C compiler there, with a static libc?)"
}

# machine_regions MACHINE MIB: where QEMU puts a RAM of one block, as lines of "gpa size offset".
# A small RAM starts at 0 and is whole. From a certain size (max) on, its lower part ends at another
# (low); the rest goes on at 4 GiB, but in the file right behind the lower part.
# True for QEMU 7.2 with default options: max-ram-below-4g moves the split, and for an AMD processor
# whose RAM would reach into what its IOMMU reserves below 1 TiB, the rest starts at 1 TiB.
machine_regions()
{
	case $1 in
	pc) max=3584 low=3072 ;;
	q35) max=2816 low=2048 ;;
	microvm) max=3073 low=3072 ;;
	*) machine_die "unknown machine '$1' (known: pc q35 microvm)" ;;
	esac
	if [ "$2" -lt "$max" ]; then
		printf '0x0 0x%x 0x0\n' $(($2 << 20))
	else
		printf '0x0 0x%x 0x0\n' $((low << 20))
		printf '0x100000000 0x%x 0x%x\n' $((($2 - low) << 20)) $((low << 20))
	fi
}
