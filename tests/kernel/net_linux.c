// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A stock Linux with a network served by vas_net.ko: datagrams and streams, with what a Linux driver
 * negotiates, between the guest's IP and that of the machine.
 */
#include "net_linux.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "include/uapi/linux/vas_net.h"
#include "linux_guest.h"

static void set_address(struct ifreq *ifreq, uint32_t address)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };

	memcpy(&ifreq->ifr_addr, &in, sizeof(in));
}

static int set_up(const char *name)
{
	int err, sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifreq = { 0 };

	snprintf(ifreq.ifr_name, sizeof(ifreq.ifr_name), "%s", name);
	set_address(&ifreq, NET_LINUX_HOST);
	err = ioctl(sock, SIOCSIFADDR, &ifreq);
	set_address(&ifreq, NET_LINUX_MASK);
	err = err ?: ioctl(sock, SIOCSIFNETMASK, &ifreq);
	ifreq.ifr_flags = IFF_UP;
	err = err ?: ioctl(sock, SIOCSIFFLAGS, &ifreq);
	err = err ? -errno : 0;
	close(sock);
	return err;
}

static uint64_t known_features;

static int open_port(struct vhost_user *user)
{
	struct vas_net_open arg = {
		.vas_fd = user->vas_fd,
		.features = user->features & known_features,
		.nr_pairs = 1,
	};

	return ioctl(user->device, VAS_NET_OPEN, &arg) ? -errno : set_up(arg.name);
}

/* What QEMU has a part in is its own: the control queue, and what is in the configuration space. */
static struct vhost_user_device network(void)
{
	int fd = open("/dev/vas_net", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		test_skip("no /dev/vas_net: vas_net.ko is not loaded");
	CHECK_OK(ioctl(fd, VAS_NET_GET_FEATURES, &known_features));
	close(fd);
	return (struct vhost_user_device){
		.path = "/dev/vas_net",
		.features = known_features &
			    ~(1ull << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS | 1ull << VIRTIO_NET_F_MTU),
		.start = VAS_NET_START,
		.stop = VAS_NET_STOP,
		.open = open_port,
	};
}

/* ---- the machine's side of the traffic ------------------------------------------------------- */

static int bound(int type)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(NET_LINUX_PORT) };
	int sock = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	CHECK_OK(setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK_OK(bind(sock, (struct sockaddr *)&any, sizeof(any)));
	return sock;
}

static void echo(int sock)
{
	static char buf[65536];
	struct sockaddr_in from;
	socklen_t len;
	ssize_t nr;

	for (;;) {
		len = sizeof(from);
		nr = recvfrom(sock, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		if (nr >= 0)
			sendto(sock, buf, (size_t)nr, 0, (struct sockaddr *)&from, len);
	}
}

/* Each way at once. The guest's end of file comes last: then all that it has sent is here. */
static int serve_stream(int sock)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(!!net_linux_send(sock, 2));
	if (net_linux_receive(sock, 1))
		return 1;
	return waitpid(pid, &status, 0) != pid || status;
}

/* The number of those that are not as they should be. */
static int serve_streams(int listener)
{
	int status, nr_bad = 0;

	for (int i = 0; i < NET_LINUX_STREAMS; i++) {
		int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (!fork())
			_exit(serve_stream(sock));
		close(sock);
	}
	while (wait(&status) > 0)
		nr_bad += status != 0;
	return nr_bad;
}

static pid_t in_a_process(void (*serve)(int), int sock)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(sock);
		_exit(0);
	}
	return pid;
}

static void streams(int listener)
{
	_exit(serve_streams(listener));
}

static void uses_network(const char *device)
{
	const char *const args[] = { "-netdev", "vhost-user,id=net,chardev=device", "-device",
				     device, NULL };
	struct vhost_user_device type = network();
	struct linux_guest guest = {
		.name = "net",
		.verdict = NET_LINUX_VERDICT,
		.args = args,
		.device = &type,
	};
	int datagram_sock = bound(SOCK_DGRAM), stream_sock = bound(SOCK_STREAM), status;
	struct vhost_user user = { 0 };
	pid_t echoer, streamer;

	CHECK_OK(listen(stream_sock, 16));
	echoer = in_a_process(echo, datagram_sock);
	streamer = in_a_process(streams, stream_sock);
	linux_guest_run(&guest, &user);
	kill(echoer, SIGKILL);
	CHECK_EQ(waitpid(echoer, NULL, 0), echoer);
	CHECK_EQ(waitpid(streamer, &status, 0), streamer);
	CHECK_EQ(status, 0);
	close(datagram_sock);
	close(stream_sock);
	printf("# %llu packets to the guest, %llu from it\n",
	       (unsigned long long)user.queues[0].nr_requests,
	       (unsigned long long)user.queues[1].nr_requests);
}

TEST(a_stock_linux_uses_a_network_that_the_kernel_serves)
{
	uses_network("virtio-net-pci,netdev=net,romfile=");
}

TEST(a_stock_linux_uses_such_a_network_by_packed_rings)
{
	uses_network("virtio-net-pci,netdev=net,romfile=,packed=on");
}

TEST(a_stock_linux_uses_such_a_network_without_offloads)
{
	uses_network("virtio-net-pci,netdev=net,romfile=,csum=off,guest_csum=off,mrg_rxbuf=off,"
		     "gso=off,guest_tso4=off,guest_tso6=off,host_tso4=off,host_tso6=off");
}
