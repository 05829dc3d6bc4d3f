# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Sockets, to a program of the host's that sends back what it gets: see device.sh.
device_kind=vsock device_init=$VSOCK_INIT device_modules=vmw_vsock_virtio_transport reconnect=

prepare()
{
	python3 "$tests_vm/echo_streams.py" "$tmp/vsock_4711" &
	started="$started $!"
	wait_until test -S "$tmp/vsock_4711"
}

device_where()
{
	where="--guest-cid 42 --uds-path $tmp/vsock"
}

qemu_device()
{
	qemu_device="-device vhost-user-vsock-pci,chardev=device"
}
