# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A network interface, as net.sh has it, by passt's socket: user-mode networking. The guest's gateway
# is passt: a stream to it goes to the loopback interface, and a ping to the host of that address.
# shellcheck source-path=SCRIPTDIR source=net.sh
. "$tests_vm/net.sh"
kind=net nr_pairs=1
need passt

# passt wants an interface that leads somewhere, and an ordinary user's pings.
prepare()
{
	ip link add out type bridge || skip "the kernel has no bridges"
	ip addr add 192.0.2.2/24 dev out
	ip link set out up
	ip link set lo up
	ip addr add 10.0.0.1/32 dev lo
	ip route add default via 192.0.2.1
	echo "0 0" >/proc/sys/net/ipv4/ping_group_range
	python3 "$tests_vm/echo_streams.py" 127.0.0.1 4711 &
	started="$started $!"
	passt --foreground --stderr --socket "$tmp/passt" --ipv4-only --address 10.0.0.2 --netmask 24 \
		--gateway 10.0.0.1 >"$tmp/passt.out" 2>&1 &
	started="$started $!"
	wait_until test -S "$tmp/passt"
}

device_where()
{
	where="--stream $tmp/passt"
}
