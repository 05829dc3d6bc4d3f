# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# A network interface: see device.sh. Each device has a tap, vas1, vas2, ...; they are ports of a bridge
# in a network namespace of the test's own, in which 10.0.0.1 sends back what it gets.
device_kind=net device_init=$NET_INIT device_modules=virtio_net device_words= nr_taps=3

# From the beginning, once more: nothing of this is to be seen outside.
[ -n "${IN_NAMESPACE-}" ] || {
	need unshare ip
	[ -c /dev/net/tun ] || skip "there is no /dev/net/tun"
	unshare -rn true 2>/dev/null || skip "no network namespace can be made here"
	rm -rf "$tmp"
	IN_NAMESPACE=1 exec unshare -rn "$0" "$@"
}

add_port()
{
	ip tuntap add dev vas$nr mode tap vnet_hdr multi_queue
	ip link set vas$nr master bridge up
}

prepare()
{
	ip link add bridge type bridge || skip "the kernel has no bridges"
	ip addr add 10.0.0.1/24 dev bridge
	ip link set bridge up
	ip link set lo up
	nr=0
	while [ $nr -lt $nr_taps ]; do
		nr=$((nr + 1))
		add_port
	done
	python3 "$tests_vm/echo_streams.py" 10.0.0.1 4711 &
	started="$started $!"
}

nr_pairs=2
device_where()
{
	where="--tap vas$1 --num-queues $nr_pairs"
}

# Debian's QEMU 7.2 crashes where vhost-user, MSI-X and TCG meet in a network device: no vectors.
qemu_device()
{
	qemu_device="-netdev type=vhost-user,id=net,chardev=device,queues=$nr_pairs
		-device virtio-net-pci,netdev=net,mq=on,vectors=0,mac=52:54:00:00:00:02$device_words"
}
