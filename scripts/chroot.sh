# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Debian systems with nothing but the essential packages, in folders. To be sourced, by those who
# have a say() and a die(), and run as root. What is mounted ends with the command that runs there.

cache=${VAS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vas}
# shellcheck source-path=SCRIPTDIR source=kernel-apt.sh
. scripts/kernel-apt.sh

# Why there can be no chroot here; nothing if there can.
chroot_lack()
{
	if [ "$(id -u)" != 0 ]; then
		echo "a chroot takes root"
	elif ! command -v debootstrap >/dev/null; then
		echo "debootstrap is missing"
	elif ! unshare --mount --pid --fork true 2>/dev/null; then
		echo "namespaces cannot be made here"
	elif [ -z "$(mirror 2>/dev/null)" ]; then
		echo "apt knows no Debian archive; run 'apt-get update'"
	fi
}

# chroot_devices FOLDER: what tests use, if this machine has it
chroot_devices()
{
	for device in kvm net/tun; do
		[ -c "/dev/$device" ] || continue
		mkdir -p "$(dirname "$1/dev/$device")"
		cp -a "/dev/$device" "$1/dev/$device"
	done
}

# chroot_make SUITE FOLDER [OTHER-SUITE...]: with apt that knows this system's archive. The bare
# system is kept in the cache.
chroot_make()
{
	root=$2 base=$cache/chroot/$1.tar
	rm -rf "$root"
	mkdir -p "$root" "$cache/chroot"
	if ! [ -e "$base" ]; then
		say "making a $1 with debootstrap"
		debootstrap --variant=minbase --keyring=$keyring "$1" "$root" "$(mirror)" >"$root.log" 2>&1 || {
			tail -n 5 "$root.log"
			rm -rf "$root"
			return 1
		}
		rm -f "$root"/var/cache/apt/archives/*.deb
		tar -C "$root" --one-file-system -cf "$base.new" .
		mv "$base.new" "$base"
	else
		tar -C "$root" -xf "$base"
	fi
	chroot_devices "$root"
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-)' >"$root/etc/apt/apt.conf.d/90host" || :
	{
		echo "deb $(mirror) $1 main"
		shift 2
		for more; do
			echo "deb $(mirror) $more main"
		done
	} >"$root/etc/apt/sources.list"
	chroot_run "$root" apt-get -q update
}

# chroot_run FOLDER COMMAND...: with the folder as the root of a mount namespace, since the kernel makes
# no user namespaces in what is only changed to
chroot_run()
{
	root=$1
	shift
	# shellcheck disable=SC2016 # for the shell in there
	unshare --mount --pid --fork --kill-child sh -ec '
		mount --bind "$1" "$1"
		mount -t proc proc "$1/proc"
		mount -t sysfs -o ro sysfs "$1/sys"
		mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
		mount -t tmpfs tmpfs "$1/dev/shm"
		mount -t tmpfs tmpfs "$1/run" # as on any machine: gone with those who run there
		cd "$1"
		shift
		pivot_root . . # the old one is above it now
		umount --lazy .
		cd /
		exec "$@"' - "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive INITRD=No "$@"
}

# chroot_boot FOLDER COMMAND...: with the systemd that is installed there as its init
chroot_boot()
{
	root=$1
	shift
	# shellcheck disable=SC2016 # for the shell in there
	unshare --mount --pid --uts --ipc --cgroup --fork --kill-child sh -c '
		mount --make-rprivate /
		mount --bind "$1" "$1"
		mount -t proc proc "$1/proc"
		mount -t sysfs -o ro sysfs "$1/sys"
		mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
		for folder in run tmp dev/shm; do
			mount -t tmpfs tmpfs "$1/$folder"
		done
		exec env -i container=chroot PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			chroot "$1" /lib/systemd/systemd --unit=multi-user.target' - "$root" &
	boot=$! status=1
	for _ in $(seq 300); do
		! chroot_enter "$boot" "$root" systemctl is-system-running 2>/dev/null |
			grep -qE 'running|degraded' || break
		sleep 1
	done
	! chroot_enter "$boot" "$root" "$@" || status=0
	kill -KILL "$boot" # what ends all in there; SIGTERM it leaves to others
	wait "$boot" 2>/dev/null || :
	return $status
}

# chroot_enter PROCESS FOLDER COMMAND...: where the child of that process is init
chroot_enter()
{
	init=$(cat "/proc/$1/task/$1/children")
	root=$2
	shift 2
	nsenter --target "${init% }" --mount --pid --uts --ipc --cgroup chroot "$root" \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}

# chroot_install FOLDER PACKAGE...
chroot_install()
{
	root=$1
	shift
	chroot_run "$root" apt-get -q install -y --no-install-recommends "$@"
}
