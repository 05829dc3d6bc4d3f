# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A libvirtd of the test's own, as root starts it, whose QEMUs run as another user; to be sourced first.
# The test begins anew in namespaces of its own: what libvirt has in /run, /var and /etc goes with it.
#
#	start_libvirtd			virsh works from here on
#	own FILE			a copy that libvirt's user can read, in $area

[ "$(id -u)" = 0 ] || {
	echo "skip: libvirtd switches users, which takes root"
	exit 77
}
command -v libvirtd virsh unshare >/dev/null || {
	echo "skip: libvirtd, virsh or unshare is not installed"
	exit 77
}
# libvirt waits until what it has killed is reaped, which the test's shell does where it is process 1.
[ -n "${LIBVIRT_SPACE-}" ] || LIBVIRT_SPACE=1 exec unshare --mount --net --propagation private \
	--pid --fork --kill-child --mount-proc "$0" "$@"

uid=64055
export LIBVIRT_DEFAULT_URI=qemu:///system

add_user()
{
	cp /etc/passwd /etc/group "$tmp"
	sed -i '/^libvirt-qemu:/d' "$tmp/passwd" "$tmp/group"
	echo "libvirt-qemu:x:$uid:$uid::/var/lib/libvirt:/usr/sbin/nologin" >>"$tmp/passwd"
	echo "libvirt-qemu:x:$uid:" >>"$tmp/group"
	mount --bind "$tmp/passwd" /etc/passwd
	mount --bind "$tmp/group" /etc/group
}

# No security driver and no cgroups: in a container there is neither, and the host is not ours.
start_libvirtd()
{
	unset VAS_RUN_DIR
	chmod 755 "$tmp"
	add_user
	for folder in /run /var/log /var/cache /var/lib /etc/libvirt; do
		mount -t tmpfs -o mode=755 tmpfs $folder
	done
	mkdir -p /run/libvirt
	area=/var/lib/libvirt/test
	for folder in /var/lib/libvirt/qemu/ram /var/log/libvirt/qemu /var/cache/libvirt/qemu $area; do
		mkdir -p "$folder"
		chown -R $uid:$uid "$folder/.."
	done
	cat >/etc/libvirt/qemu.conf <<-END
		security_driver = "none"
		namespaces = []
		cgroup_controllers = []
		stdio_handler = "file"
		user = "libvirt-qemu"
		group = "libvirt-qemu"
	END
	libvirtd >"$tmp/libvirtd.log" 2>&1 &
	started="$started $!"
	# Domains outlive libvirtd, and so a test that has failed.
	trap 'virsh destroy "$mine" >/dev/null 2>&1 || true; clean_up' EXIT
	wait_until virsh version
}

own()
{
	mkdir -p "$area/$(dirname "$2")"
	cp "$1" "$area/$2"
	chmod 755 "$area" "$area/$(dirname "$2")" "$area/$2"
}

# The emulator, with the libraries of the build where it looks for them.
own_emulator()
{
	own "$VAS" cli/vas
	ldd "$VAS" | sed -n 's,.*=> \(.*/libvas[^ ]*\) .*,\1,p' >"$tmp/libraries"
	while read -r library; do
		own "$library" "cli/${library#"$(dirname "$VAS")/"}"
	done <"$tmp/libraries"
	ln -s vas "$area/cli/vas-qemu"
	emulator=$area/cli/vas-qemu
}
