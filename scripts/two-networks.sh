#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# two-networks.sh COMMAND [ARGUMENT...]: run it in a network of its own, where a cable leads to another
# one. $HERE and $THERE are the addresses at its ends; $IN_THERE are the words to begin a command with that
# is to run at the other end. Both networks end with the command.
#
# exit status: the command's; 77 = there can be no such networks here
# needs: util-linux, iproute2; root, or user namespaces
set -eu

HERE=192.0.2.1
THERE=192.0.2.2

cannot()
{
	echo "skip: $*"
	exit 77
}

is_apart()
{
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

if [ -z "${VAS_TWO_NETWORKS-}" ]; then
	for tool in unshare nsenter setpriv ip; do
		command -v $tool >/dev/null || cannot "$tool is not installed"
	done
	as_root=
	[ "$(id -u)" = 0 ] || as_root=--map-root-user
	unshare --net $as_root true 2>/dev/null || cannot "no network namespace can be made here"
	VAS_TWO_NETWORKS=1 exec unshare --net $as_root "$0" "$@"
fi
unset VAS_TWO_NETWORKS

# It ends with its parent, which the command is to be.
setpriv --pdeathsig KILL unshare --net sleep infinity &
other=$!
until is_apart $other; do
	kill -0 $other 2>/dev/null || cannot "no second network namespace can be made here"
	sleep 0.01 # between two looks
done
IN_THERE="nsenter --target $other --net"
ip link add name cable type veth peer name cable netns $other 2>/dev/null ||
	cannot "no veth devices can be made here"
ip address add $HERE/24 dev cable
$IN_THERE ip address add $THERE/24 dev cable
for device in lo cable; do
	ip link set $device up
	$IN_THERE ip link set $device up
done
export HERE THERE IN_THERE
exec "$@"
