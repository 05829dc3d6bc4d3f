# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A network interface, as net.sh has it, by a packet socket: each device has one end of a veth, vas1,
# vas2, ...; the other ends are ports of the bridge.
# shellcheck source-path=SCRIPTDIR source=net.sh
. "$tests_vm/net.sh"
kind=net nr_pairs=1

add_port()
{
	ip link add vas$nr type veth peer name port$nr || skip "the kernel has no veth"
	ip link set port$nr master bridge up
	ip link set vas$nr up
}

device_where()
{
	where="--packet vas$1"
}
