# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Linux guests that work on a device of 'vas device', in QEMUs under TCG; to be sourced after
# ../cli/lib.sh. device_kind KIND says of which: disk.sh, net.sh, rng.sh or vsock.sh, which have
#
#	$device_init			the guest's init, whose lines begin with "$kind: "
#	$device_modules			what the guest's kernel needs for it
#	$device_kind			as vas device calls it
#	$reconnect			empty: QEMU has no second connection for such a device
#	prepare				what a test needs before any device
#	device_where NR			the NRth device's options, in $where
#	qemu_device			QEMU's words, in $qemu_device; the socket's chardev is "device"
#
# and then, with QEMU=newer for a QEMU that is newer than the system's, as scripts/qemu.sh has it:
#
#	make_initramfs INIT MODULE...	the kernel $kernel_name, an initramfs: $kernel, $initramfs; what
#					$tmp/root has comes along
#	make_guest			the same, for the device
#	serve [OPTION...]		the device, in the background: $device; it listens at $sock
#	kill_device			at any moment
#	$qemu_memory			QEMU's words for memory that it shares; empty: 'vas run' has it
#	$iommu_device			QEMU's words for an IOMMU, which comes before its devices
#	boot SERIAL [WORD...]		QEMU, with further words: $guest; the guest has begun to work;
#					by the command in $launch, if there is one
#	make_command SERIAL		QEMU's words: $command, without those of the guest's, $cmdline
#	checked SERIAL			how much it has checked
#	goes_on SERIAL [MORE]		wait until it has checked more; nothing was broken
#	monitor SOCKET COMMAND		of QEMU's

tests_vm=${tests_vm:-$(cd "$(dirname "$0")" && pwd)}
scripts=$(cd "$tests_vm/../../scripts" && pwd)
# shellcheck source-path=SCRIPTDIR/../../scripts source=../../scripts/vm-machine.sh
. "$scripts/vm-machine.sh"
qemu_program=qemu-system-x86_64
if [ "${QEMU:-}" = newer ]; then
	qemu_program=$("$scripts/qemu.sh" path) || skip "a newer QEMU is not in the cache: scripts/qemu.sh fetch"
fi
guest_mib=192 kernel_name=6.1 reconnect=,reconnect=1
sock=$tmp/sock

device_kind()
{
	kind=$1
	# shellcheck source-path=SCRIPTDIR source=disk.sh
	. "$tests_vm/$kind.sh"
}

make_initramfs()
{
	need "$qemu_program" cpio python3
	init=$1
	shift
	kernel=$("$scripts/kernel.sh" path "$kernel_name" vmlinux) || skip "kernel $kernel_name is not in the cache"
	"$scripts/kernel.sh" modules "$kernel_name" "$@" >"$tmp/modules" ||
		skip "kernel $kernel_name has not all modules in the cache: scripts/kernel.sh fetch --update $kernel_name"
	mkdir -p "$tmp/root/modules" "$tmp/root/dev" "$tmp/root/proc" "$tmp/root/sys"
	cp "$init" "$tmp/root/init"
	while read -r file; do
		cp "$file" "$tmp/root/modules/"
		echo "/modules/$(basename "$file")"
	done <"$tmp/modules" >"$tmp/root/modules/list"
	initramfs=$tmp/initramfs
	machine_initramfs "$tmp/root" "$initramfs"
}

make_guest()
{
	# shellcheck disable=SC2086 # words
	make_initramfs "$device_init" virtio_pci $device_modules
	prepare
}

serve()
{
	"$VAS" device "$device_kind" --vhost-user "$sock" "$@" 2>>"$tmp/device.err" &
	device=$!
	started="$started $device"
}

# No signal that it could take.
kill_device()
{
	kill -9 "$device"
	wait "$device" 2>/dev/null || :
}

# Words without blanks: $tmp has none.
make_command()
{
	qemu_device
	command="$qemu_program -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m ${guest_mib}M
		${qemu_memory-"-machine memory-backend=ram -object memory-backend-memfd,id=ram,size=${guest_mib}M,share=on"}
		-nodefaults -display none -no-reboot -serial file:$1 -kernel $kernel -initrd $initramfs
		-chardev socket,id=device,path=$sock$reconnect ${iommu_device:-} $qemu_device"
	cmdline="$(machine_cmdline) ${append:-}"
}

boot()
{
	make_command "$1"
	shift
	# shellcheck disable=SC2086 # words
	${launch:-} $command -append "$cmdline" "$@" >>"$tmp/qemu.out" 2>&1 &
	guest=$!
	started="$started $guest"
}

checked()
{
	[ ! -e "$1" ] || sed -n "s/^.*$kind: \([0-9]*\) checked.*/\1/p" "$1" | tail -n 1
}

# With all that is known of why.
guest_has_ended()
{
	status=0
	wait "$1" || status=$?
	die "QEMU has ended with $status: $(cat "$tmp/qemu.out"); the guest's last words: $(tail -n 20 "$2")"
}

has_checked()
{
	[ -e "$1" ] || return
	! grep -a 'BROKEN\|I/O error' "$1" || die "$1 says so"
	kill -0 "$guest" || guest_has_ended "$guest" "$1"
	now=$(checked "$1")
	[ "${now:-0}" -gt "$2" ]
}

goes_on()
{
	before=$(checked "$1")
	wait_until has_checked "$1" $((${before:-0} + ${2:-50}))
}

has_no_errors()
{
	[ ! -s "$tmp/device.err" ] || die "$*: $(cat "$tmp/device.err")"
}

monitor()
{
	python3 - "$@" <<-'END'
		import socket, sys
		monitor = socket.socket(socket.AF_UNIX)
		monitor.connect(sys.argv[1])
		said = b""
		monitor.sendall(sys.argv[2].encode() + b"\n")
		while said.count(b"(qemu)") < 2:
		    said += monitor.recv(4096)
		print(said.decode())
	END
}
