#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A domain of libvirt's whose emulator is vas-qemu: virsh defines, starts, suspends, resumes, shuts down and
# destroys it; the verbs of vas work on it beside that, by its name; nothing is left of it.
# shellcheck source-path=SCRIPTDIR source=libvirtd.sh
. "$(dirname "$0")/libvirtd.sh"
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
machine=$1 mib=$2
modules="virtio_pci virtio_console"
# shellcheck source-path=SCRIPTDIR source=counting.sh
. "$(dirname "$0")/counting.sh"

need python3
make_guest
start_libvirtd
own "$kernel" vmlinux
own "$initramfs" initramfs
own_emulator
qemu none # for its $append
serial=/var/log/libvirt/qemu/serial

# domain FILE BACKING: as XML
domain()
{
	cat >"$1" <<-END
		<domain type='qemu'>
		<name>$mine</name>
		<memory unit='MiB'>$mib</memory>
		$2
		<vcpu>2</vcpu>
		<os>
		<type arch='x86_64' machine='$machine'>hvm</type>
		<kernel>$area/vmlinux</kernel>
		<initrd>$area/initramfs</initrd>
		<cmdline>$append</cmdline>
		</os>
		<features><acpi/></features>
		<cpu mode='maximum'/>
		<devices>
		<emulator>$emulator</emulator>
		<serial type='file'><source path='$serial'/></serial>
		<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
		<memballoon model='virtio'/>
		</devices>
		</domain>
	END
}

virsh_does()
{
	virsh "$@" >"$tmp/virsh" 2>&1 || die "virsh $*: $(cat "$tmp/virsh" /var/log/libvirt/qemu/*.log)"
}

start_domain()
{
	rm -f $serial
	virsh_does start "$mine"
	# libvirt has made the file, which QEMU then writes to by an fd.
	counts_on $serial 0
	qemu_pid=$(cat "/run/libvirt/qemu/$mine.pid")
}

is_in_state()
{
	virsh domstate "$mine" --reason | grep -q "^$1"
}

nothing_is_left()
{
	! "$VAS" info "$mine" && [ -z "$(ls -A /tmp/vas-$uid)" ]
}

domain "$tmp/shared.xml" "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>"
virsh_does define "$tmp/shared.xml"
start_domain

# What libvirt has started is QEMU itself, as the user that libvirt chose, on a vas with the domain's name.
is_equal "$(cat "/proc/$qemu_pid/comm")" qemu-system-x86
is_equal "$(stat -c %u "/proc/$qemu_pid")" $uid
grep -qz "spawn=deny" "/proc/$qemu_pid/cmdline" || die "libvirt's sandbox is gone"
expect 0 ls
out_has "$mine"
expect 0 find "$mine" --string "vas_seed=$((mib % 1000))" --max 1
expect 0 info "$mine"

# Both see what the other does to the vCPUs.
virsh_does suspend "$mine"
at=$(last $serial)
expect 0 pause "$mine"
is_equal "$(last $serial)" "$at"
virsh_does resume "$mine"
counts_on $serial "$at"
expect 0 pause "$mine"
wait_until is_in_state paused
expect 0 resume "$mine"
wait_until is_in_state running
counts_on $serial "$(last $serial)"

# It is saved while it runs, and goes on; the file says nothing of how to start what libvirt started.
at=$(last $serial)
expect 0 snapshot "$mine" "$tmp/file"
expect 0 read "$mine" 0x100000 16 --frozen --hex
counts_on $serial "$at"
is_gapless $serial 1
expect 3 restore "$tmp/file"
err_has "its QEMU was started by another program or user"
expect 3 clone --private "$tmp/file"
err_has "its QEMU was started by another program or user"

# Outside of libvirt, clones go on from it in QEMUs with the same devices.
IFS='
'
# shellcheck disable=SC2046 # words, a line each
set -- $(python3 "$(dirname "$0")/without_libvirt.py" "$qemu_pid" "$tmp/clone-@INDEX@")
unset IFS
: >"$tmp/ref"
"$VAS" clone --private --number 2 "$tmp/file" -- "$@" >"$tmp/ref" 2>"$tmp/clone.err" &
pid=$!
started="$started $pid"
wait_until is_created
[ -s "$tmp/ref" ] || die "vas clone: $(cat "$tmp/clone.err")"
for clone in 0 1; do
	counts_on "$tmp/clone-$clone" "$at"
	is_gapless "$tmp/clone-$clone" 0
done
end "$pid"
counts_on $serial "$(last $serial)"

# A holder that is killed takes nothing with it.
expect 0 info "$mine" --json
kill -KILL "$(json "j['owner_pid']")"
counts_on $serial "$(last $serial)"
expect 0 snapshot --parent "$tmp/file" "$mine" "$tmp/child"
counts_on $serial "$(last $serial)"
virsh_does shutdown "$mine" --mode agent
wait_until is_in_state "shut off (shutdown)"
grep -q "agent: shutdown" $serial || die "the guest did not shut itself down"

# The RAM that a domain has without saying where is the vas as well.
virsh_does undefine "$mine"
domain "$tmp/plain.xml" ""
virsh_does define "$tmp/plain.xml"
start_domain
expect 0 pause "$mine"
expect 0 resume "$mine"
virsh_does destroy "$mine"
wait_until is_in_state "shut off (destroyed)"
wait_until nothing_is_left

# A QEMU that dies is one that has crashed, and its holder ends.
start_domain
kill -KILL "$qemu_pid"
wait_until is_in_state "shut off (crashed)"
wait_until nothing_is_left
rmdir /tmp/vas-$uid
